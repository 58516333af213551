"""The microkernel, the panels around it, and the memory they use: every width, other CPUs, awkward sizes."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from cpu_helpers import DTYPES, awkward, close, numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite.binding import get_host_cpu_features
from tinyslm.kernels.cpu import _gemm, _tile, ladder

ROOT = Path(__file__).resolve().parents[2]


def caller(rows, size, vectors, turned=False):
    """A function that runs one block of this shape."""
    tile = _tile.make_tile(rows, size, vectors, turned)

    @numba.njit
    def call(a, start, stride, b, depth, c, c_row, add):
        tile(a, start, stride, b, 0, depth, c, 0, c_row, add)

    return call


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("size", "vectors"), [(16, 2), (16, 4), (32, 2), (64, 4)])
def test_a_block_of_every_vector_width(size, vectors, dtype):
    width, rows = size * vectors // np.dtype(dtype).itemsize, 3
    call = caller(rows, size, vectors)
    for depth in (0, 1, 2, 7, 16):
        a, b = numbers(0, rows, depth + 2, dtype=dtype), numbers(1, depth, width, dtype=dtype)
        c = numbers(2, rows, width + 5, dtype=dtype)
        product = a[:, 1 : depth + 1].astype(np.float64) @ b
        for add in (False, True):
            found = c.copy()
            call(a, 1, a.shape[1], b, depth, found, c.shape[1], add)
            close(found[:, :width], product + (c[:, :width] if add else 0))
            np.testing.assert_array_equal(found[:, width:], c[:, width:])  # nothing beside the block is touched


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("size", "vectors"), [(16, 2), (16, 4), (32, 2), (64, 4)])
def test_a_turned_block_reads_columns(size, vectors, dtype):
    width, rows = size * vectors // np.dtype(dtype).itemsize, 6
    call = caller(rows, size, vectors, turned=True)
    for depth in (0, 1, 7):
        a, b = numbers(0, depth + 1, rows + 2, dtype=dtype), numbers(1, depth, width, dtype=dtype)
        c = np.zeros((rows, width), dtype)
        call(a, 1, a.shape[1], b, depth, c, width, False)
        close(c, a[:depth, 1 : rows + 1].T.astype(np.float64) @ b)


@pytest.mark.parametrize(
    ("triple", "features", "shape"),
    [
        ("x86_64-unknown-linux-gnu", "+sse2,-avx", (16, 2)),
        ("x86_64-pc-windows-msvc", "+avx,+avx2,+fma,-avx512f", (32, 2)),
        ("x86_64-apple-darwin", "+avx,+avx512f,+fma", (64, 4)),
        ("aarch64-unknown-linux-gnu", "+neon,+fp-armv8", (16, 4)),
        ("arm64-apple-darwin", "", (16, 4)),
        ("x86_64-unknown-linux-gnu", "", (16, 2)),
    ],
)
def test_the_vectors_of_a_cpu(triple, features, shape):
    assert _tile.vector_shape(triple, features) == shape


@numba.njit
def product(a, panels, c, add):
    _gemm.multiply(a, 0, a.shape[0], 0, a.shape[1], panels, 0, panels.shape[0], 0, c, 0, 0, add)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=30)
@given(m=st.integers(0, 20), k=st.integers(0, 20), n=st.integers(1, 40))
def test_products_with_panels(dtype, m, k, n):
    a, b = numbers(0, m, k, dtype=dtype), numbers(1, k, n, dtype=dtype)
    panels = _gemm.panels_of_columns(b)
    c = np.ones((m, _gemm.padded(n, dtype)), dtype)
    want = a.astype(np.float64) @ b
    for add in (False, True):
        product(a, panels, c, add)
        close(c[:, :n], (1 + add) * want)
        assert not c[:, n:].any()  # a panel's last columns are filled up with zeros


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=15)
@given(rows=st.integers(0, 600), m=st.integers(1, 14), n=st.integers(1, 40), blocks=st.integers(1, 3))
def test_gram(dtype, rows, m, n, blocks):
    width = _gemm.padded(n, dtype)
    a, b = numbers(0, rows, m, dtype=dtype), numbers(1, rows, blocks * width, dtype=dtype)
    ranges = [(i % m, m) for i in range(blocks)]
    found = _gemm.gram(a, _gemm.panels_of_columns(b), ranges).transpose(1, 0, 2).reshape(m, blocks * width)
    want = a.T.astype(np.float64) @ b
    for i in range(blocks):
        part = slice(i * width, (i + 1) * width)
        close(found[i % m :, part], want[i % m :, part])
        assert not found[: i % m, part].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [16, 32, 64])  # bytes of NEON's vectors, AVX2's, AVX-512's
def test_a_square_is_turned(size, dtype):
    turn, n = _tile.make_turn(size), size // np.dtype(dtype).itemsize
    call = numba.njit(lambda a, b: turn(a, 3, n + 1, b, 2, n + 2))
    a, b = numbers(0, 3 + n * (n + 1), dtype=dtype), np.zeros(2 + n * (n + 2), dtype)
    call(a, b)
    found = b[2:].reshape(n, n + 2)
    np.testing.assert_array_equal(found[:, :n], a[3:].reshape(n, n + 1)[:, :n].T)
    assert not found[:, n:].any() and not b[:2].any()


@numba.njit
def turned(a, row, rows, out):
    _gemm.turned_copy(a, row, rows, out)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=30)
@given(rows=st.integers(0, 40), m=st.integers(0, 40), more=st.integers(0, 5))
def test_turned_copy(dtype, rows, m, more):
    a, out = numbers(0, rows + more, m, dtype=dtype), np.zeros((m, rows + more), dtype)
    turned(a, more, rows, out)
    np.testing.assert_array_equal(out[:, :rows], a[more:].T)
    assert not out[:, rows:].any()  # nothing beside it is touched


@pytest.mark.parametrize("dtype", DTYPES)
def test_panels_of_rows(dtype):
    w = numbers(0, 2, 5, 3, dtype=dtype)
    across = _gemm.padded(5, dtype)
    panels = _gemm.panels_of_rows(w)
    whole = panels.transpose(1, 0, 2).reshape(3, 2, across)
    np.testing.assert_array_equal(whole[:, :, :5], w.transpose(2, 0, 1))
    assert not whole[:, :, 5:].any()


CHECK = """
import sys
sys.path.insert(0, "tests/kernels")
import numpy as np
from cpu_helpers import numbers
from tinyslm.kernels.cpu import _tile, ladder
a, b = (numbers(i, *s, scale=0.5, dtype="float32") for i, s in enumerate([(13, 19), (19, 37)]))
print(_tile.BYTES, _tile.VECTORS, *(f"{x:.5g}" for x in np.square(ladder.with_registers(a, b).astype(float)).sum(1)))
"""


COMPILE = """
from numba import float32
from tinyslm.kernels.cpu import _tile, ladder
ladder._registers.compile((float32[:, ::1], float32[:, :, ::1], float32[:, ::1]))
code = ladder._registers.inspect_asm(ladder._registers.signatures[0])
print(_tile.BYTES, _tile.VECTORS, *(f"%zmm{i}" for i in range(32) if f"%zmm{i}," in code or f"%zmm{i}\\n" in code))
"""


def on_cpu(tmp_path, program=CHECK, **environment):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TINYSLM_CACHE": str(tmp_path), **environment}
    found = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


def is_the_product(sums):
    a, b = (numbers(i, *s, scale=0.5, dtype="float32") for i, s in enumerate([(13, 19), (19, 37)]))
    np.testing.assert_allclose(np.array(sums, float), np.square(a.astype(float) @ b).sum(1), rtol=1e-4)


@pytest.mark.skipif(not (ROOT / "tests").is_dir(), reason="needs the checkout")
def test_another_cpu_gives_the_same_and_the_cache_knows_them_apart(tmp_path):
    here = on_cpu(tmp_path)
    plain = on_cpu(tmp_path, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")  # vectors of 16 bytes, no fused multiply
    assert plain[:2] == ["16", "2"] and plain[2:] == here[2:]
    is_the_product(plain[2:])
    assert on_cpu(tmp_path) == here  # the code of the other CPU, in the same folder, is not taken


X86 = platform.machine().lower() in ("x86_64", "amd64")
AVX = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+f16c,+bmi,+bmi2"


@pytest.mark.skipif(not get_host_cpu_features().get("avx2"), reason="needs a processor with AVX2")
def test_the_product_with_avx2(tmp_path):
    found = on_cpu(tmp_path, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES=AVX)
    assert found[:2] == ["32", "2"]
    is_the_product(found[2:])


@pytest.mark.skipif(not X86, reason="needs an x86 processor")
def test_avx_512_uses_all_of_its_registers(tmp_path):
    features = AVX + ",+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"  # compiled, not run
    found = on_cpu(tmp_path, COMPILE, NUMBA_CPU_NAME="skylake-avx512", NUMBA_CPU_FEATURES=features)
    assert found[:2] == ["64", "4"]
    assert len(found[2:]) >= 6 * 4 + 4  # the sums of a block, and the vectors of B: more than there are without AVX-512


@pytest.mark.parametrize("rung", ladder.RUNGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_rung_of_the_ladder_is_the_product(rung, dtype):
    for m, k, n in [(7, 5, 19), (1, 1, 1), (3, 0, 4), (0, 2, 3)]:
        a, b = numbers(0, m, k, dtype=dtype), numbers(1, k, n, dtype=dtype)
        close(rung(awkward(a), awkward(b)), a.astype(np.float64) @ b)
