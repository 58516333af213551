"""Products by a warp as `mma.cuh` gives them, on whole numbers, where each format is exact."""

import re

import numpy as np
import pytest
from cuda_helpers import SETTINGS, emulated, needs_emulator
from tinyslm.kernels.cuda import _launch

pytestmark = needs_emulator
# (A B) W for A (16, 16), B (16, 16) and W (16, 8): B's pairs lie along its columns, W's along its rows.
KERNEL = """
extern "C" __global__ void __launch_bounds__(32) chain(const float* a, const float* b, const float* w, float* y) {
    __shared__ Pair rows_a[16 * 8], rows_b[16 * 8], columns_w[8 * 8];
    for (int e = threadIdx.x; e < 128; e += 32) {
        const int r = e / 8, d = e % 8;
        rows_a[e] = pair(a[16 * r + 2 * d], a[16 * r + 2 * d + 1]);
        rows_b[e] = pair(b[16 * (2 * d) + r], b[16 * (2 * d + 1) + r]);
        if (r < 8) columns_w[e] = pair(w[8 * (2 * r) + d], w[8 * (2 * r + 1) + d]);
    }
    __syncwarp();
    Sums product[2] = {}, sums = {};
    for (int k = 0; k < 8; k += DEPTH / 2)
        for (int j = 0; j < 2; ++j) multiply(product[j], left_of(rows_a + k, 8), right_of(rows_b + 64 * j + k, 1, 8));
    for (int k = 0; k < 8; k += DEPTH / 2) multiply(sums, left_of(product + k / 4), right_of(columns_w + 8 * k, 8, 1));
    for (int c = 0; c < 4; ++c) y[8 * (lane_g() + c / 2 * 8) + 2 * lane_t() + c % 2] = sums.c[c];
}
"""


def chain(code, form, a, b, w):
    y = np.zeros((16, 8), np.float32)
    module = _launch.gpu().raw_module(code=code, options=("-std=c++17", f"-DFORMAT={form}"))
    module.get_function("chain")((1,), (32,), (a, b, w, y))
    return y


def draw():
    rng = np.random.default_rng(0)
    shapes = ((16, 16), (16, 16), (16, 8))
    return [rng.integers(-3, 4, shape).astype(np.float32) for shape in shapes]  # |A B| <= 144 has 8 bits at most


def source():
    return "".join((_launch.HERE / name).read_text(encoding="utf-8") for name in ("common.cuh", "mma.cuh")) + KERNEL


@pytest.mark.parametrize("form", [1, 2])
def test_a_product_of_a_product(form):
    a, b, w = draw()
    for setting in SETTINGS:
        with emulated(setting):
            np.testing.assert_array_equal(chain(source(), form, a, b, w), a @ b @ w)


SWAPS = [
    ("left.upper[0].first, left.lower[0].first", "left.lower[0].first, left.upper[0].first"),
    ("{right.pairs[0].first, right.pairs[0].second}", "{right.pairs[0].second, right.pairs[0].first}"),
    ("left.lower[0].both, left.upper[1].both", "left.upper[1].both, left.lower[0].both"),
    ("pair(sums[i].c[0], sums[i].c[1])", "pair(sums[i].c[1], sums[i].c[0])"),
    ("sums[i].c[2], sums[i].c[3]", "sums[i].c[1], sums[i].c[3]"),
    ("threadIdx.x % 32 / 4", "threadIdx.x % 8"),
]


@pytest.mark.parametrize("old, new", SWAPS)
def test_a_mistake_in_the_layout_is_found(old, new):
    a, b, w = draw()
    form = 2 if "both" in old else 1
    mutant, count = re.subn(re.escape(old), new, source())
    assert count == 1
    with emulated():
        assert not np.array_equal(chain(mutant, form, a, b, w), a @ b @ w)
