"""What recording an operation costs above NumPy's own: `python tests/benchmarks/record_op.py`.

(8, 8) float32 arrays, once by NumPy and once by tinyslm through the public interface with gradients on; both results
are compared first. 100 alternating blocks of 200 calls each; prints microseconds: NumPy's time and what recording takes
more, by the medians and by the fastest blocks, which nothing disturbed. Ends with status 1 where these are more than 6
apart.
"""

import sys
import timeit
from collections.abc import Callable

import numpy as np

import tinyslm as ts

BLOCKS, CALLS, MOST = 100, 200, 6.0

Pair = tuple[Callable[[], ts.Tensor], Callable[[], np.ndarray]]


def operations() -> dict[str, Pair]:
    """The operations as people write them, each with the same work in NumPy."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(8, 8)).astype("float32") for _ in range(2))
    a, b = (ts.tensor(v, requires_grad=True) for v in (x, y))
    return {
        "a + b": (lambda: a + b, lambda: x + y),
        "a * 2.0": (lambda: a * 2.0, lambda: x * 2.0),
        "1 - a": (lambda: 1 - a, lambda: 1 - x),
        "a / 3": (lambda: a / 3, lambda: x / 3),
        "-a": (lambda: -a, lambda: -x),
        "a @ b": (lambda: a @ b, lambda: x @ y),
        "a.exp()": (lambda: a.exp(), lambda: np.exp(x)),
        "a.clip(0, 1)": (lambda: a.clip(0, 1), lambda: x.clip(0, 1)),
        "where(a, b, 0.0)": (lambda: ts.where(a, b, 0.0), lambda: np.where(x, y, np.float32(0))),
        "a.sum()": (lambda: a.sum(), lambda: x.sum()),
        "a.sum(-1)": (lambda: a.sum(-1), lambda: x.sum(-1)),
        "a.mean(-1, True)": (lambda: a.mean(-1, True), lambda: x.mean(-1, keepdims=True)),
        "a.max(-1)": (lambda: a.max(-1), lambda: x.max(-1)),
        "a.reshape(4, 16)": (lambda: a.reshape(4, 16), lambda: x.reshape(4, 16)),
        "a.T": (lambda: a.T, lambda: x.T),
        "a[0]": (lambda: a[0], lambda: x[0].copy()),
        "a[:, 1:3]": (lambda: a[:, 1:3], lambda: x[:, 1:3].copy()),
        "cat([a, b])": (lambda: ts.cat([a, b]), lambda: np.concatenate([x, y])),
    }


def measure(recorded: Callable, plain: Callable) -> np.ndarray:
    """Microseconds a call (2, 2): NumPy's and the recorded one's, by the median and by the fastest block."""
    times = [[timeit.timeit(f, number=CALLS) / CALLS * 1e6 for f in (plain, recorded)] for _ in range(BLOCKS)]
    return np.stack([np.median(times, axis=0), np.min(times, axis=0)])


def main() -> int:
    """Measure and print; how it ended."""
    worst = 0.0
    print(f"{'':18}{'medians':>22}{'fastest blocks':>24}\n{'':18}{'NumPy   recorded':>22}{'NumPy   recorded':>24}")
    for name, (recorded, plain) in operations().items():
        assert recorded().requires_grad
        assert np.allclose(recorded().numpy(), plain(), rtol=1e-6), name
        cells = [(n, r - n) for n, r in measure(recorded, plain)]
        worst = max(worst, cells[1][1])
        print(f"{name:18}" + "  ".join(f"{n:8.2f}  + {extra:5.2f} us" for n, extra in cells))
    print(f"aim: at most {MOST:.0f} us more; the most was {worst:.2f}")
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main())
