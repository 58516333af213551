// The matrix product of one step of a recurrent layer, as far as one block needs it: 32 sequences, 16 hidden units.
//
// Two levels of tiles: a stretch of DEPTH of what is summed over lies in shared memory, while the next one is on its way
// from global memory to registers; each thread has 16 sums in registers. Source: Volkov and Demmel 2008.
#pragma once
#define STEP_THREADS 512
#define SEQUENCES 32      // of a block
#define UNITS 16          // of a block, so that each of its threads has one unit of one sequence

// How a block takes a product with Q columns for each of its units: (SEQUENCES, k) (k, UNITS Q), DEPTH of the k at a
// time. Groups of 32 Q threads share each DEPTH among them, and each thread has 4 sequences and 4 columns, so it needs
// 8 loads of four numbers for 64 multiplications and additions.
template <int Q> struct Tile {
    static constexpr int GROUPS = Q == 1 ? 16 : 4, DEPTH = Q == 1 ? 128 : 64, SHARE = DEPTH / GROUPS, COLUMNS = UNITS * Q;
    static constexpr int STRIDE = DEPTH + 4;    // of a sequence: those that are read at once lie in different banks
    static constexpr int ROW_FOURS = SEQUENCES * DEPTH / 4, COLUMN_FOURS = DEPTH * COLUMNS / 4;
    Four rows[ROW_FOURS / STEP_THREADS], columns[(COLUMN_FOURS + STEP_THREADS - 1) / STEP_THREADS];    // on their way
};

__device__ __forceinline__ bool can_load_fours(const real* p, int width) {
    return width % 4 == 0 && (size_t)p % sizeof(Four) == 0;
}

// Four numbers of a row, 0 past its end.
__device__ __forceinline__ Four four_of(const real* row, int at, int width, bool whole) {
    if (at >= width) return {0, 0, 0, 0};
    if (whole) return *reinterpret_cast<const Four*>(row + at);
    return {row[at], at + 1 < width ? row[at + 1] : (real)0, at + 2 < width ? row[at + 2] : (real)0,
            at + 3 < width ? row[at + 3] : (real)0};
}

// From global memory to registers: DEPTH of the k from `first` on, of the block's rows in a (batch, depth) and of its
// columns in w (depth, Q hidden).
template <int Q>
__device__ __forceinline__ void fetch(Tile<Q>& tile, const real* a, const real* w, int first, int depth, int batch, int hidden) {
    using T = Tile<Q>;
    const bool whole_a = can_load_fours(a, depth), whole_w = can_load_fours(w, hidden);
#pragma unroll
    for (int i = 0; i * STEP_THREADS < T::ROW_FOURS; ++i) {
        const int e = threadIdx.x + i * STEP_THREADS, b = blockIdx.y * SEQUENCES + e / (T::DEPTH / 4);
        tile.rows[i] = four_of(a + (long long)b * depth, first + e % (T::DEPTH / 4) * 4, b < batch ? depth : 0, whole_a);
    }
#pragma unroll
    for (int i = 0; i * STEP_THREADS < T::COLUMN_FOURS; ++i) {
        const int e = threadIdx.x + i * STEP_THREADS, k = first + e / (T::COLUMNS / 4), c = e % (T::COLUMNS / 4) * 4;
        const bool there = e < T::COLUMN_FOURS && k < depth;
        const real* row = w + ((long long)k * Q + c / UNITS) * hidden;
        tile.columns[i] = four_of(row, blockIdx.x * UNITS + c % UNITS, there ? hidden : 0, whole_w);
    }
}

// From registers to shared memory.
template <int Q> __device__ __forceinline__ void put(const Tile<Q>& tile, real* rows, real* columns) {
    using T = Tile<Q>;
#pragma unroll
    for (int i = 0; i * STEP_THREADS < T::ROW_FOURS; ++i) {
        const int e = threadIdx.x + i * STEP_THREADS;
        *reinterpret_cast<Four*>(rows + e / (T::DEPTH / 4) * T::STRIDE + e % (T::DEPTH / 4) * 4) = tile.rows[i];
    }
#pragma unroll
    for (int i = 0; i * STEP_THREADS < T::COLUMN_FOURS; ++i) {
        const int e = threadIdx.x + i * STEP_THREADS;
        if (e < T::COLUMN_FOURS) reinterpret_cast<Four*>(columns)[e] = tile.columns[i];
    }
}

__device__ __forceinline__ void add(Four& sum, real factor, const Four& v) {
    sum.x += factor * v.x;
    sum.y += factor * v.y;
    sum.z += factor * v.z;
    sum.w += factor * v.w;
}

// The block's part of a w, in `memory` as (GROUPS, SEQUENCES, COLUMNS): the sums of each group of threads.
template <int Q>
__device__ __forceinline__ void multiply(const real* a, const real* w, int depth, int batch, int hidden, real* memory) {
    using T = Tile<Q>;
    real *rows = memory, *columns = rows + SEQUENCES * T::STRIDE;
    const int group = threadIdx.x / (32 * Q), s = threadIdx.x % (32 * Q) / (4 * Q), c = threadIdx.x % (4 * Q) * 4;
    Four sums[4] = {};    // of sequences s, s + 8, s + 16, s + 24; columns c, ..., c + 3
    T tile;
    fetch(tile, a, w, 0, depth, batch, hidden);
    for (int first = 0; first < depth; first += T::DEPTH) {
        __syncthreads();                       // the numbers before are used up
        put(tile, rows, columns);
        __syncthreads();
        if (first + T::DEPTH < depth) fetch(tile, a, w, first + T::DEPTH, depth, batch, hidden);
        if (group >= T::GROUPS) continue;
#pragma unroll
        for (int k = 0; k < T::SHARE; k += 4) {
            const int at = group * T::SHARE + k;
            Four v[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) v[i] = *reinterpret_cast<const Four*>(columns + (at + i) * T::COLUMNS + c);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const Four f = *reinterpret_cast<const Four*>(rows + (s + 8 * i) * T::STRIDE + at);
                add(sums[i], f.x, v[0]);
                add(sums[i], f.y, v[1]);
                add(sums[i], f.z, v[2]);
                add(sums[i], f.w, v[3]);
            }
        }
    }
    __syncthreads();
    if (group < T::GROUPS)
#pragma unroll
        for (int i = 0; i < 4; ++i)
            *reinterpret_cast<Four*>(memory + (group * SEQUENCES + s + 8 * i) * T::COLUMNS + c) = sums[i];
    __syncthreads();
}

// What `multiply` found for part q of this thread's unit: the groups' sums, added up in order.
template <int Q> __device__ __forceinline__ real product(const real* memory, int q) {
    real sum = 0;
#pragma unroll
    for (int g = 0; g < Tile<Q>::GROUPS; ++g)
        sum += memory[(g * SEQUENCES + threadIdx.x / UNITS) * Tile<Q>::COLUMNS + q * UNITS + threadIdx.x % UNITS];
    return sum;
}
