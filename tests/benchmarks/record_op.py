"""What recording an operation costs above NumPy's own: `python tests/benchmarks/record_op.py`.

Two (8, 8) float32 arrays are added by NumPy and, through the public operator with gradients on, by tinyslm; both sums
are compared first. Prints the median of 15 alternating blocks, in microseconds.
"""

import statistics
import timeit

import numpy as np

import tinyslm as ts

BLOCKS, CALLS = 15, 20_000


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(8, 8)).astype("float32") for _ in range(2))
    a, b = (ts.tensor(v, requires_grad=True) for v in (x, y))
    assert (a + b).requires_grad and np.array_equal((a + b).numpy(), x + y)
    extra, plain = [], []
    for _ in range(BLOCKS):
        plain.append(timeit.timeit(lambda: x + y, number=CALLS) / CALLS * 1e6)
        extra.append(timeit.timeit(lambda: a + b, number=CALLS) / CALLS * 1e6 - plain[-1])
    print(f"NumPy's add      {statistics.median(plain):6.2f} us")
    print(f"recording it     {statistics.median(extra):6.2f} us more   (aim: at most 6)")


if __name__ == "__main__":
    main()
