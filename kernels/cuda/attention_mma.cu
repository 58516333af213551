// Scaled dot-product attention on tensor cores: as `attention.cu`, but what is multiplied is rounded to TF32 or bfloat16
// first. Queries, keys, values, results, sums and exponentials stay float32. sm_80 and later.
//
// Operations and bytes of global memory are those of `attention.cu`. A warp owns 16 rows of the own tile, so a block has
// OWN / 16 warps. The weights never leave the registers: as `mma.cuh` tells, the sums of one product are the left side
// of the next. The right side comes from shared memory as pairs of neighbours along k, which for own . other means
// neighbours in a row, for weights * other neighbours in a column; backward keeps other tiles both ways.
// Banks of shared memory: the strides are such that 32 lanes (16 where a pair takes 8 bytes) read different ones.
// Sources: as there; the order of the work among warps is that of Dao 2023 (FlashAttention-2).
// Constants: D, E widths; OWN, OTHER tile sizes, multiples of 16; MASK 1 where numbers are added to the scores; FORMAT 1
// for TF32, 2 for bfloat16.
#include "common.cuh"
#ifndef D
#define D 64
#define E 64
#define OWN 64
#define OTHER 32
#define MASK 0
#endif
#include "mma.cuh"
#include "attention.cuh"
#define LANES (2 * OWN)                                    // threads of a block
#define WIDE(width) (((width) + DEPTH - 1) / DEPTH * DEPTH)    // filled up with zeros
#define IN_ROWS(width) (WIDE(width) / 2 + (WIDE(width) % 16 ? 0 : 4))    // stride of tiles whose pairs lie along rows
#define IN_COLUMNS(width) (WIDE(width) + 4 * CHUNKS)       // and of those whose pairs are two rows

template <int WIDTH> __device__ __forceinline__ float entry(const float* from, int row, int column, int rows) {
    return row < rows && column < WIDTH ? from[(long long)row * WIDTH + column] : 0.f;
}

// Rows first .. first + count - 1 of a matrix (rows, WIDTH) to shared memory, 0 past the end: (count, IN_ROWS).
template <int WIDTH> __device__ void load_rows(Pair* tile, const float* from, int first, int count, int rows) {
    for (int e = threadIdx.x; e < count * (WIDE(WIDTH) / 2); e += LANES) {
        const int r = e / (WIDE(WIDTH) / 2), d = e % (WIDE(WIDTH) / 2);
        tile[r * IN_ROWS(WIDTH) + d] =
            pair(entry<WIDTH>(from, first + r, 2 * d, rows), entry<WIDTH>(from, first + r, 2 * d + 1, rows));
    }
}

// The same rows, two by two: (count / 2, IN_COLUMNS).
template <int WIDTH> __device__ void load_columns(Pair* tile, const float* from, int first, int count, int rows) {
    for (int e = threadIdx.x; e < count / 2 * WIDE(WIDTH); e += LANES) {
        const int r = e / WIDE(WIDTH), d = e % WIDE(WIDTH);
        tile[r * IN_COLUMNS(WIDTH) + d] =
            pair(entry<WIDTH>(from, first + 2 * r, d, rows), entry<WIDTH>(from, first + 2 * r + 1, d, rows));
    }
}

// s = own . other: 16 rows of the own tile, OTHER columns. Both tiles lie in rows.
template <int WIDTH> __device__ __forceinline__ void dots(const Pair* own, const Pair* other, Sums (&s)[OTHER / 8]) {
#pragma unroll
    for (int j = 0; j < OTHER / 8; ++j) s[j] = {};
    own += threadIdx.x / 32 * 16 * IN_ROWS(WIDTH);
#pragma unroll 4
    for (int k = 0; k < WIDE(WIDTH) / 2; k += DEPTH / 2) {
        const Left left = left_of(own + k, IN_ROWS(WIDTH));
#pragma unroll
        for (int j = 0; j < OTHER / 8; ++j) multiply(s[j], left, right_of(other + 8 * j * IN_ROWS(WIDTH) + k, 1, IN_ROWS(WIDTH)));
    }
}

// total += weights * other: 16 rows and OTHER columns of weights, and a tile that lies in columns.
template <int WIDTH>
__device__ __forceinline__ void accumulate(const Sums (&weights)[OTHER / 8], const Pair* other, Sums (&total)[WIDE(WIDTH) / 8]) {
#pragma unroll
    for (int k = 0; k < OTHER / 2; k += DEPTH / 2) {
        const Left left = left_of(weights + k / 4);
#pragma unroll
        for (int j = 0; j < WIDE(WIDTH) / 8; ++j)
            multiply(total[j], left, right_of(other + k * IN_COLUMNS(WIDTH) + 8 * j, IN_COLUMNS(WIDTH), 1));
    }
}

// Where number c of a lane's sums j stands, in tiles that begin at `first`.
__device__ __forceinline__ int row_of(int first, int c) { return first + threadIdx.x / 32 * 16 + lane_g() + c / 2 * 8; }
__device__ __forceinline__ int column_of(int first, int j, int c) { return first + 8 * j + 2 * lane_t() + c % 2; }

template <int WIDTH>
__device__ __forceinline__ void store(float* to, const Sums (&total)[WIDE(WIDTH) / 8], int first, int rows, float factor) {
#pragma unroll
    for (int j = 0; j < WIDE(WIDTH) / 8; ++j)
#pragma unroll
        for (int c = 0; c < 4; ++c) {
            const int r = row_of(first, c), d = column_of(0, j, c);
            if (r < rows && d < WIDTH) to[(long long)r * WIDTH + d] = total[j].c[c] * factor;
        }
}

// A row of sums belongs to 4 neighbouring lanes.
__device__ __forceinline__ float row_max(float v) {
    v = larger(v, __shfl_xor_sync(ALL_LANES, v, 1));
    return larger(v, __shfl_xor_sync(ALL_LANES, v, 2));
}
__device__ __forceinline__ float row_sum(float v) {
    v += __shfl_xor_sync(ALL_LANES, v, 1);
    return v + __shfl_xor_sync(ALL_LANES, v, 2);
}

// grid (heads, ceil(T / OWN)). Writes out (heads, T, E); the largest scores and 1 / sums (heads, T), 0 for a query
// that sees nothing.
extern "C" __global__ void __launch_bounds__(LANES, 2)
attention_forward(INPUTS, float* out, float* tops, float* inverses, int queries, int keys) {
    extern __shared__ Pair memory[];
    Pair* own_q = memory;                                  // OWN rows
    Pair* other_k = own_q + OWN * IN_ROWS(D);              // OTHER rows
    Pair* other_v = other_k + OTHER * IN_ROWS(D);          // OTHER / 2 rows of pairs
    BLOCK
    float top[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY}, sum[2] = {};    // of rows g and g + 8
    Sums s[OTHER / 8], total[WIDE(E) / 8] = {};
    load_rows<D>(own_q, q + head * queries * D, first, OWN, queries);
    const int end = causal ? min(keys, first + OWN + keys - queries) : keys;
    for (int n = 0; n < end; n += OTHER) {
        __syncthreads();                                   // the tiles before are used up
        load_rows<D>(other_k, k + head * keys * D, n, OTHER, keys);
        load_columns<E>(other_v, v + head * keys * E, n, OTHER, keys);
        __syncthreads();
        dots<D>(own_q, other_k, s);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            float most = top[i], more = 0;
#pragma unroll
            for (int j = 0; j < OTHER / 8; ++j)
#pragma unroll
                for (int c = 2 * i; c < 2 * i + 2; ++c) {
                    s[j].c[c] = score(s[j].c[c], scale, masking, row_of(first, c), column_of(n, j, c), queries, keys);
                    most = larger(most, s[j].c[c]);
                }
            most = row_max(most);
            const float base = most == NEGATIVE_INFINITY ? 0.f : most;
#pragma unroll
            for (int j = 0; j < OTHER / 8; ++j)
#pragma unroll
                for (int c = 2 * i; c < 2 * i + 2; ++c) more += s[j].c[c] = exp(s[j].c[c] - base);
            const float shrink = exp(top[i] - base);
            sum[i] = sum[i] * shrink + row_sum(more);
            top[i] = most;
#pragma unroll
            for (int j = 0; j < WIDE(E) / 8; ++j) {
                total[j].c[2 * i] *= shrink;
                total[j].c[2 * i + 1] *= shrink;
            }
        }
        accumulate<E>(s, other_v, total);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const int t = row_of(first, 2 * i);
        const bool sees = sum[i] != 0;
        const float inverse = sees ? 1 / sum[i] : 0.f;
        if (lane_t() == 0 && t < queries) {
            tops[head * queries + t] = sees ? top[i] : 0.f;
            inverses[head * queries + t] = inverse;
        }
#pragma unroll
        for (int j = 0; j < WIDE(E) / 8; ++j)
#pragma unroll
            for (int c = 2 * i; c < 2 * i + 2; ++c) total[j].c[c] *= inverse;
    }
    store<E>(out + head * queries * E, total, first, queries, 1);
}

// With p = exp(score - top) / sum, dp = g . v and ds = p (dp - delta): dq = scale ds k. grid (heads, ceil(T / OWN)).
extern "C" __global__ void __launch_bounds__(LANES, 2)
attention_backward_queries(INPUTS, BACKWARD_INPUTS, float* dq, int queries, int keys) {
    extern __shared__ Pair memory[];
    Pair* own_q = memory;
    Pair* own_g = own_q + OWN * IN_ROWS(D);
    Pair* other_k = own_g + OWN * IN_ROWS(E);
    Pair* other_v = other_k + OTHER * IN_ROWS(D);
    Pair* columns_k = other_v + OTHER * IN_ROWS(E);
    BLOCK
    Sums s[OTHER / 8], dp[OTHER / 8], total[WIDE(D) / 8] = {};
    float top[2], inverse[2], row_delta[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const int t = row_of(first, 2 * i);
        top[i] = of_query(tops, t, queries);
        inverse[i] = of_query(inverses, t, queries);
        row_delta[i] = of_query(delta, t, queries);
    }
    load_rows<D>(own_q, q + head * queries * D, first, OWN, queries);
    load_rows<E>(own_g, g + head * queries * E, first, OWN, queries);
    const int end = causal ? min(keys, first + OWN + keys - queries) : keys;
    for (int n = 0; n < end; n += OTHER) {
        __syncthreads();
        load_rows<D>(other_k, k + head * keys * D, n, OTHER, keys);
        load_rows<E>(other_v, v + head * keys * E, n, OTHER, keys);
        load_columns<D>(columns_k, k + head * keys * D, n, OTHER, keys);
        __syncthreads();
        dots<D>(own_q, other_k, s);
        dots<E>(own_g, other_v, dp);
#pragma unroll
        for (int j = 0; j < OTHER / 8; ++j)
#pragma unroll
            for (int c = 0; c < 4; ++c) {
                const float x = score(s[j].c[c], scale, masking, row_of(first, c), column_of(n, j, c), queries, keys);
                s[j].c[c] = exp(x - top[c / 2]) * inverse[c / 2] * (dp[j].c[c] - row_delta[c / 2]);
            }
        accumulate<D>(s, columns_k, total);
    }
    store<D>(dq + head * queries * D, total, first, queries, scale);
}

// dv = p^T g, dk = scale ds^T q. grid (heads, ceil(S / OWN)): here the own tile holds keys, the other tiles queries.
extern "C" __global__ void __launch_bounds__(LANES, 2)
attention_backward_keys(INPUTS, BACKWARD_INPUTS, float* dk, float* dv, int queries, int keys) {
    extern __shared__ Pair memory[];
    Pair* own_k = memory;
    Pair* own_v = own_k + OWN * IN_ROWS(D);
    Pair* other_q = own_v + OWN * IN_ROWS(E);
    Pair* other_g = other_q + OTHER * IN_ROWS(D);
    Pair* columns_q = other_g + OTHER * IN_ROWS(E);
    Pair* columns_g = columns_q + OTHER / 2 * IN_COLUMNS(D);
    BLOCK
    Sums s[OTHER / 8], dp[OTHER / 8], total_k[WIDE(D) / 8] = {}, total_v[WIDE(E) / 8] = {};
    load_rows<D>(own_k, k + head * keys * D, first, OWN, keys);
    load_rows<E>(own_v, v + head * keys * E, first, OWN, keys);
    const int begin = causal ? max(0, first - (keys - queries)) / OTHER * OTHER : 0;
    for (int n = begin; n < queries; n += OTHER) {
        __syncthreads();
        load_rows<D>(other_q, q + head * queries * D, n, OTHER, queries);
        load_rows<E>(other_g, g + head * queries * E, n, OTHER, queries);
        load_columns<D>(columns_q, q + head * queries * D, n, OTHER, queries);
        load_columns<E>(columns_g, g + head * queries * E, n, OTHER, queries);
        __syncthreads();
        dots<D>(own_k, other_q, s);
        dots<E>(own_v, other_g, dp);
#pragma unroll
        for (int j = 0; j < OTHER / 8; ++j)
#pragma unroll
            for (int c = 0; c < 4; ++c) {
                const int t = column_of(n, j, c);
                const float x = score(s[j].c[c], scale, masking, t, row_of(first, c), queries, keys);
                s[j].c[c] = exp(x - of_query(tops, t, queries)) * of_query(inverses, t, queries);
            }
#pragma unroll
        for (int j = 0; j < OTHER / 8; ++j)
#pragma unroll
            for (int c = 0; c < 4; ++c)        // a loop of its own, for fewer registers at once
                dp[j].c[c] = s[j].c[c] * (dp[j].c[c] - of_query(delta, column_of(n, j, c), queries));
        accumulate<E>(s, columns_g, total_v);
        accumulate<D>(dp, columns_q, total_k);
    }
    store<D>(dk + head * keys * D, total_k, first, keys, scale);
    store<E>(dv + head * keys * E, total_v, first, keys, 1);
}
