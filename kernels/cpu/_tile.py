"""The microkernel: a small block of a matrix product, held in the processor's vector registers.

This is the one file that writes vector instructions itself, as LLVM's intermediate language, which numba then compiles
for the machine at hand. A compiler makes good code of most loops, but it does not find this arrangement.

    C[r, j] (+)= sum over k of A[r, k] B[k, j]        for r < rows and j < PANEL

A core multiplies and adds two vectors of 8 floats (AVX2) in each cycle, but it can load only two to three. So every
number that is loaded must be used several times: a block of 6 rows by 2 vectors keeps 12 sums in registers, and a step
of k loads 2 vectors of B and 6 single numbers of A for 12 multiply-adds. More rows would not fit: AVX2 has 16 vector
registers, and 12 sums, 2 vectors and a copy of the number of A make 15. AVX-512 and NEON have 32: there the block is 4
vectors wide.

B lies in panels of PANEL columns (`_gemm.py`): a panel's row k follows row k - 1 directly, so the loop reads on and on
through memory. A is read as it lies, row by row.

`turn` makes columns of rows, a square of vectors at a time; number by number, each would go to a cache line of its own.
With vectors of 4 numbers, the rows 0 to 3 are woven, each of the first half with one of the second, and once more:

    a0 a1 a2 a3        a0 c0 a1 c1        a0 b0 c0 d0
    b0 b1 b2 b3   ->   a2 c2 a3 c3   ->   a1 b1 c1 d1
    c0 c1 c2 c3        b0 d0 b1 d1        a2 b2 c2 d2
    d0 d1 d2 d3        b2 d2 b3 d3        a3 b3 c3 d3
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

ROWS = 6  # rows in the largest block

INDEX, INT32 = ir.IntType(64), ir.IntType(32)
FLOATS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


def vector_shape(triple: str, features: str) -> tuple[int, int]:
    """(bytes of a vector register, vectors across a block) for a CPU, in LLVM's words for its kind and its features."""
    found = set(features.split(","))
    if "+avx512f" in found:
        return 64, 4
    if "+avx" in found:
        return 32, 2
    # All 64-bit ARMs have NEON, with 32 registers; macOS doesn't list it.
    return (16, 4) if triple.startswith(("aarch64", "arm64")) else (16, 2)


def _this_cpu() -> tuple[str, str]:
    # What numba compiles for: NUMBA_CPU_FEATURES where it is set, else what the machine has.
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    return triple, features


BYTES, VECTORS = vector_shape(*_this_cpu())


def panel_width(itemsize: int) -> int:
    """Columns in a panel of numbers of `itemsize` bytes."""
    return BYTES * VECTORS // itemsize


def make_tile(rows: int, size: int = BYTES, vectors: int = VECTORS, turned: bool = False) -> Any:
    """The function tile(a, a_start, a_row, b, b_start, depth, c, c_start, c_row, add) for blocks of `rows` rows.

    a, b and c are arrays of one float type. A[r, k] is the number a_start + r a_row + k of a, counted through memory;
    B[k, j] is b_start + k PANEL + j of b, and C[r, j] is c_start + r c_row + j of c. With `add` the block is added to
    what c holds, else it takes its place. `size` and `vectors`: bytes of a vector, and vectors across the block.
    `turned`: a holds A^T, so A[r, k] is a_start + k a_row + r.
    """

    @intrinsic
    def tile(typing, a, a_start, a_row, b, b_start, depth, c, c_start, c_row, add):
        number = types.intp
        signature = types.void(a, number, number, b, number, number, c, number, number, types.boolean)

        def generate(context, builder, signature, args):
            a, b, c = (_pointer(context, builder, signature.args[i], args[i], args[i + 1]) for i in (0, 3, 6))
            block = _Block(builder, rows, FLOATS[signature.args[0].dtype], size, vectors)
            steps = (INDEX(1), args[2]) if turned else (args[2], INDEX(1))
            block.write(a, *steps, b, args[5], c, args[8], args[9])
            return context.get_dummy_value()

        return signature, generate

    return tile


def _copy_row(typing, a, a_start, b, b_start):
    """Copy a panel's row: PANEL numbers of a from a_start on to b from b_start on."""

    def generate(context, builder, signature, args):
        a, b = (_pointer(context, builder, signature.args[i], args[i], args[i + 1]) for i in (0, 2))
        _Block(builder, 1, FLOATS[signature.args[0].dtype], BYTES, VECTORS).copy(a, b)
        return context.get_dummy_value()

    return types.void(a, types.intp, b, types.intp), generate


copy_row: Any = intrinsic(_copy_row)


def make_turn(size: int = BYTES) -> Any:
    """The function turn(a, a_start, a_row, b, b_start, b_row): copy a square of numbers, its rows to columns of b.

    The square is as wide as a vector of `size` bytes. Row r begins at number a_start + r a_row of a, and what becomes
    of column r at b_start + r b_row of b.
    """

    @intrinsic
    def turn(typing, a, a_start, a_row, b, b_start, b_row):
        def generate(context, builder, signature, args):
            a, b = (_pointer(context, builder, signature.args[i], args[i], args[i + 1]) for i in (0, 3))
            kind = signature.args[0].dtype
            _Block(builder, size * 8 // kind.bitwidth, FLOATS[kind], size, 1).turn(a, args[2], b, args[5])
            return context.get_dummy_value()

        return types.void(a, types.intp, types.intp, b, types.intp, types.intp), generate

    return turn


turn = make_turn()


def _lanes(typing, a):
    """Numbers in a vector, for arrays of a's type."""
    number = ir.Constant(INDEX, BYTES * 8 // a.dtype.bitwidth)
    return types.intp(a), lambda context, builder, signature, args: number


lanes: Any = intrinsic(_lanes)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, start: Any) -> Any:
    """The address of number `start` of an array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [start])


class _Block:
    """Writes the instructions for one block."""

    def __init__(self, builder: Any, rows: int, number: Any, size: int, vectors: int):
        self.builder, self.rows, self.vectors = builder, rows, vectors
        self.bytes = 4 if number == ir.FloatType() else 8
        self.lanes = size // self.bytes  # numbers in a vector
        self.vector = ir.VectorType(number, self.lanes)
        self.fma = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(self.vector, [self.vector] * 3),
            f"llvm.fmuladd.v{self.lanes}f{8 * self.bytes}",
        )

    def write(self, a: Any, a_row: Any, a_step: Any, b: Any, depth: Any, c: Any, c_row: Any, add: Any) -> None:
        """Zero or load the sums; run through k; store the sums."""
        rows_of_a = self._rows(a, a_row)
        places = [self._at(row, v * self.lanes) for row in self._rows(c, c_row) for v in range(self.vectors)]
        # Written as variables in memory; the compiler keeps them in registers.
        sums = [cgutils.alloca_once_value(self.builder, self._zero()) for _ in places]
        with self.builder.if_then(add):
            for total, place in zip(sums, places, strict=True):
                self.builder.store(self._load(place), total)
        with cgutils.for_range(self.builder, depth) as loop:
            self._multiply_add(loop.index, rows_of_a, a_step, b, sums)
        for total, place in zip(sums, places, strict=True):
            self._store(self.builder.load(total), place)

    def copy(self, a: Any, b: Any) -> None:
        """Load all vectors of a row, then store them."""
        places = [v * self.lanes for v in range(self.vectors)]
        for place, vector in [(place, self._load(self._at(a, place))) for place in places]:
            self._store(vector, self._at(b, place))

    def turn(self, a: Any, a_row: Any, b: Any, b_row: Any) -> None:
        """Load the rows; weave the first half of them into the second, log2(rows) times; store what are now columns."""
        vectors, half = [self._load(row) for row in self._rows(a, a_row)], self.lanes // 2
        for _ in range(half.bit_length()):
            pairs = zip(vectors[:half], vectors[half:], strict=True)
            vectors = [self._weave(*pair, start) for pair in pairs for start in (0, half)]
        for vector, row in zip(vectors, self._rows(b, b_row), strict=True):
            self._store(vector, row)

    def _weave(self, a: Any, b: Any, start: int) -> Any:
        """a[start], b[start], a[start + 1], b[start + 1] ... as one vector."""
        places = [start + i // 2 + i % 2 * self.lanes for i in range(self.lanes)]
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, self.lanes), places))

    def _multiply_add(self, k: Any, rows: list, a_step: Any, b: Any, sums: list) -> None:
        """sums[r, v] += A[r, k] B[k, v]: a number of A, copied into all lanes of a vector, times a vector of B."""
        builder = self.builder
        start = self._at(b, builder.mul(k, INDEX(self.vectors * self.lanes)))
        row_of_b = [self._load(self._at(start, v * self.lanes)) for v in range(self.vectors)]
        for r, row in enumerate(rows):
            number = self._everywhere(builder.load(self._at(row, builder.mul(k, a_step))))
            for v in range(self.vectors):
                total = sums[r * self.vectors + v]
                builder.store(builder.call(self.fma, [number, row_of_b[v], builder.load(total)]), total)

    def _rows(self, start: Any, stride: Any) -> list:
        return [self._at(start, self.builder.mul(stride, INDEX(r))) for r in range(self.rows)]

    def _at(self, start: Any, offset: Any) -> Any:
        return self.builder.gep(start, [INDEX(offset) if isinstance(offset, int) else offset])

    def _load(self, place: Any) -> Any:
        # The numbers need not lie at a multiple of the vector's size: `align` is that of one number.
        return self.builder.load(self.builder.bitcast(place, self.vector.as_pointer()), align=self.bytes)

    def _store(self, value: Any, place: Any) -> None:
        self.builder.store(value, self.builder.bitcast(place, self.vector.as_pointer()), align=self.bytes)

    def _zero(self) -> Any:
        return ir.Constant(self.vector, [0.0] * self.lanes)

    def _everywhere(self, number: Any) -> Any:
        """A vector with `number` in every lane."""
        one = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), number, INT32(0))
        same = ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, ir.Constant(self.vector, ir.Undefined), same)
