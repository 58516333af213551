// Scaled dot-product attention, forward and backward, without ever writing the T x S scores.
//
// For N heads in all, T queries and S keys of width D, values of width E (causal: about half of it): operations forward
// 2 N T S (D + E), backward 2 N T S (4 D + 3 E) since the scores are computed again, twice; one exponential for each
// score and pass. Bytes: q, out and their gradients once; k and v once for each tile of queries. So arithmetic decides.
// Launch: blocks of 256 threads, 16 lines of 16; a block owns a tile of OWN queries (or keys) of one head and walks
// over tiles of OTHER keys (or queries). Line `ty` serves rows ty, ty + 16, ... of the own tile and its thread `tx`
// columns tx, tx + 16, ...: each number loaded from shared memory is used OWN / 16 or OTHER / 16 times.
// Running softmax: with each tile the maximum m may grow; sum and output so far are then scaled by exp(m_old - m_new).
// Backward: from the saved maxima and sums the weights p come back as exp(score - m) / sum. One kernel owns queries (dq), one
// owns keys (dk, dv): no atomics, so the same bits every time.
// Source: Milakov and Gimelshein 2018; Rabe and Staats 2021; Dao and others 2022 (FlashAttention).
// Constants: D, E widths; OWN, OTHER tile sizes, multiples of 16; MASK 1 where numbers are added to the scores.
#include "common.cuh"
#ifndef D
#define D 64
#define E 64
#define OWN 64
#define OTHER 32
#define MASK 0
#endif
#define ROWS (OWN / 16)       // of the own tile, for each thread
#define COLS (OTHER / 16)     // of the scores, for each thread
#define RESIDENT (sizeof(real) == 4 && D + E <= 256 ? 2 : 1)   // blocks that a processor should hold: at most 128 registers
#define PARTS(width) (((width) + 15) / 16)
#include "attention.cuh"

__device__ __forceinline__ int tx() { return threadIdx.x % 16; }
__device__ __forceinline__ int ty() { return threadIdx.x / 16; }

// Rows first .. first + count - 1 of a matrix (rows, WIDTH) to shared memory, 0 past the end. A row takes WIDTH + 1
// places, so that a column lies in 32 different memory banks.
template <int WIDTH> __device__ void load(real* tile, const real* from, int first, int count, int rows) {
    for (int e = threadIdx.x; e < count * WIDTH; e += 256) {
        const int r = e / WIDTH, d = e % WIDTH;
        tile[r * (WIDTH + 1) + d] = first + r < rows ? from[(long long)(first + r) * WIDTH + d] : (real)0;
    }
}

// s = own . other for this thread's rows and columns.
template <int WIDTH> __device__ __forceinline__ void dots(const real* own, const real* other, real (&s)[ROWS][COLS]) {
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
        for (int j = 0; j < COLS; ++j) s[i][j] = 0;
#pragma unroll 4
    for (int d = 0; d < WIDTH; ++d) {
        real a[ROWS], b[COLS];
#pragma unroll
        for (int i = 0; i < ROWS; ++i) a[i] = own[(ty() + 16 * i) * (WIDTH + 1) + d];
#pragma unroll
        for (int j = 0; j < COLS; ++j) b[j] = other[(tx() + 16 * j) * (WIDTH + 1) + d];
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < COLS; ++j) s[i][j] += a[i] * b[j];
    }
}

// total += weights * other: a tile of weights (OWN, OTHER) times a tile (OTHER, WIDTH).
template <int WIDTH>
__device__ __forceinline__ void accumulate(const real* weights, const real* other, real (&total)[ROWS][PARTS(WIDTH)]) {
#pragma unroll 4
    for (int n = 0; n < OTHER; ++n) {
        real w[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; ++i) w[i] = weights[(ty() + 16 * i) * (OTHER + 1) + n];
#pragma unroll
        for (int c = 0; c < PARTS(WIDTH); ++c) {
            const int d = tx() + 16 * c;
            const real b = d < WIDTH ? other[n * (WIDTH + 1) + d] : (real)0;
#pragma unroll
            for (int i = 0; i < ROWS; ++i) total[i][c] += w[i] * b;
        }
    }
}

// Weights to shared memory. A row is written and read by one line of 16 threads, so their warp alone has to wait.
__device__ __forceinline__ void share(real* weights, const real (&s)[ROWS][COLS]) {
    __syncwarp();                          // the row may still be read
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
        for (int j = 0; j < COLS; ++j) weights[(ty() + 16 * i) * (OTHER + 1) + tx() + 16 * j] = s[i][j];
    __syncwarp();
}

template <int WIDTH>
__device__ __forceinline__ void store(real* to, const real (&total)[ROWS][PARTS(WIDTH)], int first, int rows, real factor) {
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
        const int r = first + ty() + 16 * i;
#pragma unroll
        for (int c = 0; c < PARTS(WIDTH); ++c) {
            const int d = tx() + 16 * c;
            if (r < rows && d < WIDTH) to[(long long)r * WIDTH + d] = total[i][c] * factor;
        }
    }
}

__device__ __forceinline__ real line_max(real v) {
#pragma unroll
    for (int step = 8; step > 0; step /= 2) v = larger(v, __shfl_xor_sync(ALL_LANES, v, step));
    return v;
}
__device__ __forceinline__ real line_sum(real v) {
#pragma unroll
    for (int step = 8; step > 0; step /= 2) v += __shfl_xor_sync(ALL_LANES, v, step);
    return v;
}

// grid (heads, ceil(T / OWN)). Writes out (heads, T, E); the largest scores and 1 / sums (heads, T), 0 for a query
// that sees nothing.
extern "C" __global__ void __launch_bounds__(256, RESIDENT)
attention_forward(INPUTS, real* out, real* tops, real* inverses, int queries, int keys) {
    extern __shared__ real memory[];
    real* own_q = memory;                            // (OWN, D + 1)
    real* other_k = own_q + OWN * (D + 1);           // (OTHER, D + 1)
    real* other_v = other_k + OTHER * (D + 1);       // (OTHER, E + 1)
    real* weights = other_v + OTHER * (E + 1);       // (OWN, OTHER + 1)
    BLOCK
    real top[ROWS], sum[ROWS], total[ROWS][PARTS(E)], s[ROWS][COLS];
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
        top[i] = NEGATIVE_INFINITY;
        sum[i] = 0;
#pragma unroll
        for (int c = 0; c < PARTS(E); ++c) total[i][c] = 0;
    }
    load<D>(own_q, q + head * queries * D, first, OWN, queries);
    const int end = causal ? min(keys, first + OWN + keys - queries) : keys;
    for (int n = 0; n < end; n += OTHER) {
        __syncthreads();                             // the tiles before are used up
        load<D>(other_k, k + head * keys * D, n, OTHER, keys);
        load<E>(other_v, v + head * keys * E, n, OTHER, keys);
        __syncthreads();
        dots<D>(own_q, other_k, s);
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            real most = top[i], more = 0;
#pragma unroll
            for (int j = 0; j < COLS; ++j) {
                s[i][j] = score(s[i][j], scale, masking, first + ty() + 16 * i, n + tx() + 16 * j, queries, keys);
                most = larger(most, s[i][j]);
            }
            most = line_max(most);
            const real base = most == NEGATIVE_INFINITY ? (real)0 : most;
#pragma unroll
            for (int j = 0; j < COLS; ++j) more += s[i][j] = exp(s[i][j] - base);
            const real shrink = exp(top[i] - base);
            sum[i] = sum[i] * shrink + line_sum(more);
            top[i] = most;
#pragma unroll
            for (int c = 0; c < PARTS(E); ++c) total[i][c] *= shrink;
        }
        share(weights, s);
        accumulate<E>(weights, other_v, total);
    }
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
        const int t = first + ty() + 16 * i;
        const bool sees = sum[i] != 0;
        const real inverse = sees ? (real)1 / sum[i] : (real)0;
        if (tx() == 0 && t < queries) {
            tops[head * queries + t] = sees ? top[i] : (real)0;
            inverses[head * queries + t] = inverse;
        }
#pragma unroll
        for (int c = 0; c < PARTS(E); ++c) total[i][c] *= inverse;
    }
    store<E>(out + head * queries * E, total, first, queries, 1);
}

// The tiles of the backward kernels in shared memory: rows of the own tile and of the other one, D and E wide; weights.
struct Tiles {
    real *own_d, *own_e, *other_d, *other_e, *weights;
    __device__ __forceinline__ explicit Tiles(real* memory)
        : own_d(memory), own_e(own_d + OWN * (D + 1)), other_d(own_e + OWN * (E + 1)),
          other_e(other_d + OTHER * (D + 1)), weights(other_e + OTHER * (E + 1)) {}
};

// With p = exp(score - top) / sum, dp = g . v and ds = p (dp - delta): dq = scale ds k. grid (heads, ceil(T / OWN)).
extern "C" __global__ void __launch_bounds__(256, RESIDENT)
attention_backward_queries(INPUTS, BACKWARD_INPUTS, real* dq, int queries, int keys) {
    extern __shared__ real memory[];
    const Tiles tile(memory);                        // own q, g and other k, v
    BLOCK
    real s[ROWS][COLS], dp[ROWS][COLS], total[ROWS][PARTS(D)] = {};
    load<D>(tile.own_d, q + head * queries * D, first, OWN, queries);
    load<E>(tile.own_e, g + head * queries * E, first, OWN, queries);
    const int end = causal ? min(keys, first + OWN + keys - queries) : keys;
    for (int n = 0; n < end; n += OTHER) {
        __syncthreads();
        load<D>(tile.other_d, k + head * keys * D, n, OTHER, keys);
        load<E>(tile.other_e, v + head * keys * E, n, OTHER, keys);
        __syncthreads();
        dots<D>(tile.own_d, tile.other_d, s);
        dots<E>(tile.own_e, tile.other_e, dp);
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            const int t = first + ty() + 16 * i;
            const real top = of_query(tops, t, queries), inverse = of_query(inverses, t, queries);
            const real row_delta = of_query(delta, t, queries);
#pragma unroll
            for (int j = 0; j < COLS; ++j) {
                const real x = score(s[i][j], scale, masking, t, n + tx() + 16 * j, queries, keys);
                s[i][j] = exp(x - top) * inverse * (dp[i][j] - row_delta);
            }
        }
        share(tile.weights, s);
        accumulate<D>(tile.weights, tile.other_d, total);
    }
    store<D>(dq + head * queries * D, total, first, queries, scale);
}

// dv = p^T g, dk = scale ds^T q. grid (heads, ceil(S / OWN)): here the own tile holds keys, the other tiles queries.
extern "C" __global__ void __launch_bounds__(256, RESIDENT)
attention_backward_keys(INPUTS, BACKWARD_INPUTS, real* dk, real* dv, int queries, int keys) {
    extern __shared__ real memory[];
    const Tiles tile(memory);                        // own k, v and other q, g
    BLOCK
    real s[ROWS][COLS], dp[ROWS][COLS], total_k[ROWS][PARTS(D)] = {}, total_v[ROWS][PARTS(E)] = {};
    load<D>(tile.own_d, k + head * keys * D, first, OWN, keys);
    load<E>(tile.own_e, v + head * keys * E, first, OWN, keys);
    const int begin = causal ? max(0, first - (keys - queries)) / OTHER * OTHER : 0;
    for (int n = begin; n < queries; n += OTHER) {
        __syncthreads();
        load<D>(tile.other_d, q + head * queries * D, n, OTHER, queries);
        load<E>(tile.other_e, g + head * queries * E, n, OTHER, queries);
        __syncthreads();
        dots<D>(tile.own_d, tile.other_d, s);
        dots<E>(tile.own_e, tile.other_e, dp);
#pragma unroll
        for (int j = 0; j < COLS; ++j) {
            const int t = n + tx() + 16 * j;
            const real top = of_query(tops, t, queries), inverse = of_query(inverses, t, queries);
            const real row_delta = of_query(delta, t, queries);
#pragma unroll
            for (int i = 0; i < ROWS; ++i) {
                const real x = score(s[i][j], scale, masking, t, first + ty() + 16 * i, queries, keys);
                s[i][j] = exp(x - top) * inverse;
                dp[i][j] = s[i][j] * (dp[i][j] - row_delta);
            }
        }
        share(tile.weights, s);
        accumulate<E>(tile.weights, tile.other_e, total_v);
        share(tile.weights, dp);
        accumulate<D>(tile.weights, tile.other_d, total_k);
    }
    store<D>(dk + head * keys * D, total_k, first, keys, scale);
    store<E>(dv + head * keys * E, total_v, first, keys, 1);
}
