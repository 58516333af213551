// What the two ways to compute attention share: `attention.cu` in plain arithmetic, `attention_mma.cu` on tensor cores.
#pragma once
struct Masking {
    const real* values;       // (M, T or 1, S): row `which[head]`, line t * step
    const long long* which;
    int step, causal;
};

// What all their kernels are given; those of backward are given more, g the gradient of the result. Queries and results
// are (heads, T, D) and (heads, T, E), keys and values (heads, S, D) and (heads, S, E).
#define INPUTS                                                                                                       \
    const real *q, const real *k, const real *v, const real *mask, const long long *which, int step, int causal,     \
    real scale
#define BACKWARD_INPUTS const real *g, const real *tops, const real *inverses, const real *delta
// A block serves OWN rows of one head, from `first` on.
#define BLOCK                                            \
    const Masking masking = {mask, which, step, causal}; \
    const long long head = blockIdx.x;                   \
    const int first = blockIdx.y * OWN;

// The score of query t and key s from their product; -inf where the query may not look.
__device__ __forceinline__ real score(real product, real scale, const Masking& m, int t, int s, int queries, int keys) {
    if (t >= queries || s >= keys || (m.causal && s > t + keys - queries)) return NEGATIVE_INFINITY;
    real x = product * scale;
#if MASK
    x += m.values[(m.which[blockIdx.x] * (m.step ? queries : 1) + (long long)t * m.step) * keys + s];
#endif
    return x;
}

// A number that there is for each query, such as its largest score; 0 past the end.
__device__ __forceinline__ real of_query(const real* values, int t, int queries) {
    return t < queries ? values[(long long)blockIdx.x * queries + t] : (real)0;
}

// delta = rowsum(g out): what every dp of a row has in common. A warp for each row, 8 rows in a block of (32, 8).
extern "C" __global__ void __launch_bounds__(256) attention_delta(const real* g, const real* out, real* delta, int rows) {
    const int row = group_row();
    if (row >= rows) return;
    real sum = 0;
    for (int e = threadIdx.x; e < E; e += 32) sum += g[(long long)row * E + e] * out[(long long)row * E + e];
    sum = warp_sum(sum);
    if (threadIdx.x == 0) delta[row] = sum;
}
