"""The CUDA emulator on itself: what is right runs, and each kind of bug is found."""

from functools import cache
from pathlib import Path

import emulator
import numpy as np
import pytest
from emulator import EmulatorError, Setting

pytestmark = pytest.mark.skipif(bool(emulator.missing()), reason=emulator.missing())
SETTINGS = [Setting("fast", 0), Setting("fast", 1), Setting("fast", 7), Setting("check", 0), Setting("check", 5)]
CODE = (Path(__file__).parent / "planted.cu").read_text(encoding="utf-8")


@cache
def kernels(setting):
    return emulator.RawModule(CODE, (), setting)


def kernel(name, setting=Setting()):  # noqa: B008
    return kernels(setting).get_function(name)


def floats(n):
    return np.arange(n, dtype=np.float32)


@pytest.mark.parametrize("setting", SETTINGS)
def test_blocks_and_threads_know_their_place(setting):
    y = np.full(2 * 3 * 2 * 4 * 3 * 2, -1, np.int32)
    kernel("where_am_i", setting)((2, 3, 2), (4, 3, 2), (y,))
    block, thread = np.divmod(np.arange(y.size), 24)
    np.testing.assert_array_equal(y, 1000 * block + thread)


def test_arguments_arrive_and_wrong_types_are_refused():
    y = np.zeros(6, np.float32)
    right = [y, np.int32(-1), np.uint32(2), np.int64(-3), np.uint64(4), np.float32(5), np.float64(6)]
    kernel("arguments")((1,), (1,), right)
    np.testing.assert_array_equal(y, [-1, 2, -3, 4, 5, 6])
    for i, wrong in [(0, floats(12)[::2]), (1, 3), (1, np.int64(3)), (5, 0.5), (5, np.float64(1)), (6, np.float32(1))]:
        arguments = [*right[:i], wrong, *right[i + 1 :]]
        with pytest.raises(TypeError, match=f"as argument {i}"):
            kernel("arguments")((1,), (1,), arguments)
    with pytest.raises(TypeError, match="expected 7 arguments"):
        kernel("arguments")((1,), (1,), right[:-1])
    with pytest.raises(AttributeError, match="the name of a kernel"):
        kernel("nobody")


@pytest.mark.parametrize("setting", SETTINGS)
def test_dynamic_shared_memory(setting):
    y = floats(50)
    kernel("reverse", setting)((1,), (50,), (y, np.int32(50)), shared_mem=200)
    np.testing.assert_array_equal(y, floats(50)[::-1])


@pytest.mark.parametrize("setting", SETTINGS)
def test_shuffles(setting):
    y, t = np.zeros((5, 32), np.int32), np.arange(32)
    kernel("shuffles", setting)((1,), (32,), (y,))
    np.testing.assert_array_equal(
        y, [0 * t + 3, np.maximum(t - 1, 0), np.where(t < 30, t + 2, t), t ^ 1, t // 8 * 8 + 1]
    )


@pytest.mark.parametrize("setting", SETTINGS)
def test_votes(setting):
    y = np.zeros((64, 8), np.int32)
    kernel("votes", setting)((1,), (64,), (y,))
    np.testing.assert_array_equal(y[:32], [[15, 1, 1, 0, 32, 1, 0, 1]] * 32)
    np.testing.assert_array_equal(y[32:], [[0, 0, 1, 1, 32, 1, 0, 1]] * 32)


@pytest.mark.parametrize("setting", SETTINGS)
def test_atomics_doubles_and_vectors(setting):
    total, most, least = np.zeros(1, np.float32), np.zeros(1, np.int32), np.zeros(1, np.int32)
    kernel("atomics", setting)((3,), (50,), (total, most, least))
    assert (total[0], most[0], least[0]) == (150, 49, -49)
    y = np.zeros(32)
    kernel("doubles", setting)((1,), (32,), (y,))
    np.testing.assert_array_equal(y, 0.1 * (np.arange(32) ^ 1))
    x, y = floats(64).reshape(16, 4), np.zeros((16, 4), np.float32)
    kernel("vectors", setting)((1,), (16,), (x, y))
    np.testing.assert_array_equal(y, x[:, ::-1])


@pytest.mark.parametrize("setting", SETTINGS)
def test_barriers_and_syncwarp_order_memory(setting):
    y = floats(64)
    kernel("warp_exchange", setting)((1,), (64,), (y,))
    np.testing.assert_array_equal(y, np.arange(64) ^ 1)
    y = floats(40)
    kernel("many_barriers", setting)((1,), (40,), (y, np.int32(5)))
    np.testing.assert_array_equal(y, np.roll(np.arange(40), -5))


# Where lane (4, 8) and value stand in A (M x K), B (N x K) and C (M x N), whose first index runs fastest: shapes of the
# values and strides, from NVIDIA CUTLASS, include/cute/atom/mma_traits_sm80.hpp. `mma.cpp` follows the PTX manual.
CUTLASS = {
    1: {"A": ([2, 2], [16, 1, 8, 64]), "B": ([2], [8, 1, 32]), "C": ([2, 2], [32, 1, 16, 8])},
    2: {"A": ([2, 2, 2], [32, 1, 16, 8, 128]), "B": ([2, 2], [16, 1, 8, 64]), "C": ([2, 2], [32, 1, 16, 8])},
}


def fragments(matrix, layout):
    """What each lane holds of a matrix: (32, values)."""
    shape, strides = layout
    index = sum(i * stride for i, stride in zip(np.indices([4, 8, *shape]), strides, strict=True))
    order = [1, 0, *range(len(shape) + 1, 1, -1)]  # of lanes the 4 run fastest, of values the first
    return matrix.reshape(-1, order="F")[index.transpose(order).reshape(32, -1)]


def registers(values, form):
    """Numbers with few digits as registers of 32 bits: one in each (TF32), or two (bfloat16)."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return bits if form == 1 else bits[:, ::2] >> 16 | bits[:, 1::2]


def draw_product(form, seed=0):
    """A (16, K), B (8, K) and C (16, 8) of small whole numbers, and their registers."""
    rng = np.random.default_rng(seed)
    a, b, c = (rng.integers(-9, 10, shape).astype(np.float32) for shape in ((16, 8 * form), (8, 8 * form), (16, 8)))
    left, right = (registers(fragments(x, CUTLASS[form][n]), form) for x, n in ((a, "A"), (b, "B")))
    return a, b, c, left.copy(), right.copy(), fragments(c, CUTLASS[form]["C"]).copy()


@pytest.mark.parametrize("form", [1, 2])
@pytest.mark.parametrize("setting", SETTINGS)
def test_products_of_matrices(setting, form):
    a, b, c, left, right, sums = draw_product(form)
    kernel("product", setting)((1,), (32,), (np.int32(form), left, right, sums))
    np.testing.assert_array_equal(sums, fragments(a @ b.T + c, CUTLASS[form]["C"]))


@pytest.mark.parametrize("form", [1, 2])
def test_a_swapped_fragment_gives_a_wrong_product(form):
    a, b, _, left, right, sums = draw_product(form)
    kernel("product_of_swapped")((1,), (32,), (np.int32(form), left, right, sums))
    assert not np.array_equal(sums, fragments(a @ b.T, CUTLASS[form]["C"]))


def test_a_product_ignores_what_a_tf32_number_has_no_bits_for():
    a, b, c, left, right, sums = draw_product(1)
    kernel("product")((1,), (32,), (np.int32(1), left | np.uint32(0x1FFF), right, sums))
    np.testing.assert_array_equal(sums, fragments(a @ b.T + c, CUTLASS[1]["C"]))


def rounded(x, bits, nearest):
    """x to so many bits of significand, in float64."""
    part, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(nearest(np.ldexp(part, bits)), exponent - bits).astype(np.float32)


def test_rounding_for_tensor_cores():
    rng = np.random.default_rng(3)
    ties = np.array([1 + 2**-11, 1 + 3 * 2**-11, -1 - 2**-11, 1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, np.inf, -np.inf])
    x = np.concatenate([ties, rng.standard_normal(54) * 10.0 ** rng.integers(-30, 30, 54), [0.0, np.nan]])
    x = x.astype(np.float32)
    tf32, pairs = np.zeros(64, np.uint32), np.zeros(64, np.uint32)
    kernel("rounding")((1,), (64,), (x, tf32, pairs))
    with np.errstate(invalid="ignore"):
        away = rounded(x, 11, lambda m: np.copysign(np.floor(np.abs(m) + 0.5), m))
        even = rounded(x, 8, np.rint)
    np.testing.assert_array_equal(tf32.view(np.float32), away)
    np.testing.assert_array_equal((pairs & np.uint32(0xFFFF0000)).view(np.float32), even)
    assert (pairs & 0xFFFF == 0x3F80).all() and away[0] == 1 + 2**-10 and even[3] == 1  # low half 1; ties differ


BOTH, CHECK = ("fast", "check"), ("check",)
I = np.int32
# kernel: (grid, block, arguments, bytes of shared memory, words of the message, modes that find it)
BUGS = {
    "read_too_early": (1, 64, lambda: (floats(64),), 0, "race on shared memory.*read.*kernel.cu:", CHECK),
    "write_too_early": (1, 64, lambda: (floats(64),), 0, "race on shared memory.*kernel.cu:86", CHECK),
    "broadcast_overwritten": (1, 40, lambda: (floats(64),), 0, "race on shared memory.*kernel.cu:96", CHECK),
    "no_syncwarp": (1, 32, lambda: (floats(32),), 0, "race on shared memory", CHECK),
    "shuffle_is_no_fence": (1, 32, lambda: (floats(32),), 0, "race on shared memory", CHECK),
    "same_element": (1, 2, lambda: (floats(1),), 0, "race on global memory", CHECK),
    "blocks_overlap": (2, 32, lambda: (floats(64),), 0, "race on global memory.*write.*block", CHECK),
    "other_block_reads": (3, 1, lambda: (floats(1), floats(3)), 0, "race on global memory", CHECK),
    "atomic_and_plain": (1, 40, lambda: (floats(1),), 0, "race on global memory", CHECK),
    "past_the_end": (1, 32, lambda: (floats(16), I(16)), 0, "out of bounds: write.*byte 64 of an array of 64", CHECK),
    "before_the_start": (1, 8, lambda: (floats(8), floats(8)), 0, "out of bounds: read.*byte -4", CHECK),
    "past_shared": (1, 32, lambda: (floats(32),), 0, "array index 32 out of bounds at kernel.cu", CHECK),
    "past_dynamic_shared": (1, 32, lambda: (floats(32),), 128, "out of bounds: write.*dynamic shared", CHECK),
    "misaligned": (1, 1, lambda: (floats(8),), 0, "misaligned.*kernel.cu", CHECK),
    "null_pointer": (1, 1, lambda: (floats(8),), 0, "(null pointer|out of bounds).*kernel.cu", CHECK),
    "barrier_in_branch": (1, 64, lambda: (floats(64),), 0, "barrier divergence.*line", BOTH),
    "barrier_for_some": (1, 64, lambda: (floats(64),), 0, "barrier divergence.*returned", BOTH),
    "barrier_after_return": (1, 64, lambda: (floats(64), I(40)), 0, "barrier divergence.*returned", BOTH),
    "loop_of_barriers": (1, 4, lambda: (floats(4),), 0, "barrier divergence", BOTH),
    "shuffle_after_return": (1, 32, lambda: (floats(32), I(20)), 0, "lane 2[0-9].*returned", BOTH),
    "shuffle_in_branch": (1, 32, lambda: (floats(32),), 0, "warp divergence", BOTH),
    "mask_without_me": (1, 32, lambda: (floats(32),), 0, "mask.*leaves out", BOTH),
    "product_without_a_lane": (1, 32, lambda: (floats(128),), 0, "lane 9.*returned", BOTH),
    "product_in_branch": (1, 32, lambda: (floats(32),), 0, "warp divergence", BOTH),
    "product_beside_shuffle": (1, 32, lambda: (floats(32),), 0, "warp divergence", BOTH),
    "product_by_few": (1, 48, lambda: (floats(48),), 0, "needs 32 lanes", BOTH),
    "product_is_no_fence": (1, 32, lambda: (floats(32),), 0, "race on shared memory", CHECK),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_found_with_its_line(name):
    grid, block, arguments, shared, words, modes = BUGS[name]
    for setting in SETTINGS:
        if setting.mode in modes:
            with pytest.raises(EmulatorError, match=words):
                kernel(name, setting)((grid,), (block,), arguments(), shared_mem=shared)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name, grid", [("uninitialised", 1), ("left_from_last_block", 2), ("shuffle_from_outside", 1)])
def test_what_was_never_written_is_nan(name, grid, setting):
    y = np.zeros(64 * grid, np.float32)
    kernel(name, setting)((grid,), (64,), (y,))
    assert np.isnan(y).any()


def test_every_planted_kernel_is_tested():
    used = {"where_am_i", "arguments", "reverse", "shuffles", "votes", "atomics", "doubles", "vectors", "warp_exchange"}
    used |= {"product", "product_of_swapped", "rounding"}
    used |= {"many_barriers", "uninitialised", "left_from_last_block", "shuffle_from_outside", *BUGS}
    assert {name for _, name in emulator.KERNEL.findall(CODE)} == used


@pytest.mark.parametrize("grid, block, shared, words", [
    ((0,), (32,), 0, "grid"), ((1, 70000), (32,), 0, "grid"), ((1,), (2048,), 0, "2048 threads"),
    ((1,), (0,), 0, "0 threads"), ((1,), (32, 1, 65), 0, "threads"), ((1,), (32,), 60000, "bytes of shared memory"),
])  # fmt: skip
def test_launches_that_a_gpu_refuses(grid, block, shared, words):
    with pytest.raises(EmulatorError, match=words):
        kernel("same_element")(grid, block, (floats(1),), shared_mem=shared)


def test_launch_bounds_and_shared_memory_on_request():
    with pytest.raises(EmulatorError, match="128 threads; expected 1 to 64"):
        kernel("reverse")((1,), (128,), (floats(128), np.int32(128)), shared_mem=512)
    large = kernel("reverse")
    large.max_dynamic_shared_size_bytes = 100_000
    large((1,), (2,), (floats(2), np.int32(2)), shared_mem=90_000)


def test_an_emulator_goes_on_after_an_error():
    with pytest.raises(EmulatorError):
        kernel("barrier_for_some")((1,), (64,), (floats(64),))
    test_dynamic_shared_memory(Setting())


def test_schedules_differ_and_repeat():
    code = 'extern "C" __global__ void first(int* y) { if (atomicAdd(y, 1) == 0) y[1] = threadIdx.x; }'
    found = {}
    for seed in (0, 1, 2, 2, 3):
        y = np.zeros(2, np.int32)
        emulator.RawModule(code, (), Setting("fast", seed)).get_function("first")((1,), (64,), (y,))
        assert found.setdefault(seed, y[1]) == y[1]
    assert found[0] == 0 and found[1] == 63 and found[2] != found[3]


def test_kernels_between_preprocessor_lines():
    code = '#ifdef A\nextern "C" __global__ void a(int* y) { y[0] = A; }\n#else\n#error no A\n#endif\n'
    y = np.zeros(1, np.int32)
    emulator.RawModule(code, ("-DA=5", "-std=c++17")).get_function("a")((1,), (1,), (y,))
    assert y[0] == 5
    with pytest.raises(EmulatorError, match=r"kernel\.cu:4.*no A"):
        emulator.RawModule(code)


def test_a_kernel_that_does_not_compile_says_where():
    with pytest.raises(EmulatorError, match=r"kernel\.cu:2.*nonsense"):
        emulator.RawModule('extern "C" __global__ void k(int* y) {\n nonsense; }')
