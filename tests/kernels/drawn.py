"""What the property tests of the CPU kernels draw, and how they hold a pair against its operation."""

import numpy as np
from cpu_helpers import DTYPES, awkward, close
from hypothesis import strategies as st

import tinyslm as ts

dtypes = st.sampled_from(DTYPES)


def extremes(dtype):
    """Numbers at the ends of what layers pass on, and one that is subnormal in this type."""
    return [0.0, 1e4, -1e4, 3 * float(np.finfo(dtype).smallest_subnormal)]


@st.composite
def arrays(draw, shape, dtype, more=()):
    """Standard normal numbers of this shape; in half of the cases many of them extreme, or one of `more`."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    a = rng.standard_normal(shape).astype(dtype)
    if draw(st.booleans()):
        a = np.where(rng.random(shape) < 0.3, rng.choice([*extremes(dtype), *more], shape), a)
    return a.astype(dtype)


def turned(a):
    """The same numbers, in memory with the dimensions in reverse order."""
    return np.array(a, order="F")


LAYOUTS = (np.array, awkward, turned)


def held(op, pair, inputs, slack=1.0, **attributes):
    """Output and gradients of a pair, in every layout, against those of the operation's reference in float64."""
    floats = [a.dtype.kind == "f" for a in inputs]
    with ts.use("numpy"), np.errstate(all="ignore"):
        tensors = [ts.Tensor(a.astype(np.float64) if f else a, f) for a, f in zip(inputs, floats, strict=True)]
        y = op(*tensors, **attributes)
        g = np.asarray(np.random.default_rng(1).standard_normal(y.shape), inputs[floats.index(True)].dtype)
        true = iter(ts.grad(y, [t for t, f in zip(tensors, floats, strict=True) if f], ts.Tensor(g.astype(np.float64))))
        wanted = [next(true).numpy() if f else None for f in floats]
        for layout in LAYOUTS:
            changed = tuple(map(layout, inputs))
            out, saved = pair[0](*changed, **attributes)
            close(out, y.numpy(), "output", slack)
            found = pair[1](layout(g), out, saved, changed, tuple(floats), **attributes)
            for got, want in zip(found, wanted, strict=True):
                if want is not None:
                    close(got, want, "gradient", slack)
