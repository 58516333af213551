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


def measure(pairs: dict[str, Pair]) -> np.ndarray:
    """Microseconds a call (operations, 2, 2): by the median and by the fastest block, NumPy's and the recorded ones."""
    times = [
        [[_microseconds(plain), _microseconds(recorded)] for recorded, plain in pairs.values()]
        for _ in range(BLOCKS)  # outermost: a machine that is slow for a second is so for all operations
    ]
    return np.stack([np.median(times, axis=0), np.min(times, axis=0)], axis=1)


def _microseconds(call: Callable) -> float:
    return timeit.timeit(call, number=CALLS) / CALLS * 1e6


def main() -> int:
    """Measure and print; how it ended."""
    pairs = operations()
    for name, (recorded, plain) in pairs.items():
        assert recorded().requires_grad
        assert np.allclose(recorded().numpy(), plain(), rtol=1e-6), name
    found = measure(pairs)
    print(f"{'':18}{'medians':>22}{'fastest blocks':>24}\n{'':18}{'NumPy   recorded':>22}{'NumPy   recorded':>24}")
    for name, cells in zip(pairs, found, strict=True):
        print(f"{name:18}" + "  ".join(f"{n:8.2f}  + {r - n:5.2f} us" for n, r in cells))
    worst = float((found[:, 1, 1] - found[:, 1, 0]).max())
    print(f"aim: at most {MOST:.0f} us more; the most was {worst:.2f}")
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main())
