// Softmax and its logarithm along the last axis, and the way there: the same formula in four versions.
//
// Bytes for n entries of s bytes: forward 2 n s if a row stays in the cache between its passes, backward 3 n s.
// Operations: one exponential for each entry (two in the fused version's worst case), a maximum and a sum. Memory decides.
// Launch: rows up to 1024 long: a warp each, 8 rows in a block of (32, 8); longer ones: a block of 256 threads each.
//
//   softmax_1_naive    one thread for each row. Neighbouring threads read addresses a whole row apart: each read
//                      fetches 32 bytes and uses 4 of them.
//   softmax_2_shared   one block for each row. Neighbouring threads read neighbouring addresses (coalesced); maximum
//                      and sum by a tree in shared memory, log2(threads) barriers each.
//   softmax_3_shuffle  as before, but within a warp the numbers go from register to register: two barriers each.
//   softmax_forward    fused: maximum and sum in one pass. When the maximum grows, the sum so far is scaled down
//                      (source: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax").
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256) softmax_1_naive(const real* x, real* y, int rows, int cols) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    x += (long long)row * cols;
    y += (long long)row * cols;
    real top = NEGATIVE_INFINITY, total = 0;
    for (int j = 0; j < cols; ++j) top = larger(top, x[j]);
    for (int j = 0; j < cols; ++j) total += exp(x[j] - top);
    for (int j = 0; j < cols; ++j) y[j] = exp(x[j] - top) / total;
}

// blockDim.x must be a power of 2, at most 256.
extern "C" __global__ void __launch_bounds__(256) softmax_2_shared(const real* x, real* y, int rows, int cols) {
    __shared__ real s[256];
    const int t = threadIdx.x;
    x += (long long)blockIdx.x * cols;
    y += (long long)blockIdx.x * cols;
    s[t] = NEGATIVE_INFINITY;
    for (int j = t; j < cols; j += blockDim.x) s[t] = larger(s[t], x[j]);
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) s[t] = larger(s[t], s[t + half]);
    }
    __syncthreads();
    const real top = s[0];
    __syncthreads();                       // everyone has read the maximum before the sums take its place
    s[t] = 0;
    for (int j = t; j < cols; j += blockDim.x) s[t] += exp(x[j] - top);
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) s[t] += s[t + half];
    }
    __syncthreads();
    for (int j = t; j < cols; j += blockDim.x) y[j] = exp(x[j] - top) / s[0];
}

extern "C" __global__ void __launch_bounds__(256) softmax_3_shuffle(const real* x, real* y, int rows, int cols) {
    __shared__ real part[32];
    x += (long long)blockIdx.x * cols;
    y += (long long)blockIdx.x * cols;
    real top = NEGATIVE_INFINITY, total = 0;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) top = larger(top, x[j]);
    top = group_max(top, part);
    for (int j = threadIdx.x; j < cols; j += blockDim.x) total += exp(x[j] - top);
    total = group_sum(total, part);
    for (int j = threadIdx.x; j < cols; j += blockDim.x) y[j] = exp(x[j] - top) / total;
}

// Maximum of a row and the sum of exp(x - maximum), in one pass. NaN in the row makes the sum NaN.
__device__ __forceinline__ void max_and_sum(const real* x, int cols, real* part, real& top, real& total) {
    real m = NEGATIVE_INFINITY, s = 0;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) {
        const real v = x[j];
        if (v > m) {
            s = s * exp(m - v) + (real)1;
            m = v;
        } else if (v != NEGATIVE_INFINITY) {
            s += exp(v - m);
        }
    }
    top = group_max(m, part);
    total = group_sum(s == 0 ? (real)0 : s * exp(m - top), part);
}

extern "C" __global__ void __launch_bounds__(256) softmax_forward(const real* x, real* y, int rows, int cols) {
    __shared__ real part[32];
    const int row = group_row();
    if (row >= rows) return;
    x += (long long)row * cols;
    y += (long long)row * cols;
    real top, total;
    max_and_sum(x, cols, part, top, total);
    const real inverse = (real)1 / total;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) y[j] = exp(x[j] - top) * inverse;
}

extern "C" __global__ void __launch_bounds__(256)
softmax_backward(const real* g, const real* y, real* dx, int rows, int cols) {
    __shared__ real part[32];
    const int row = group_row();
    if (row >= rows) return;
    const long long at = (long long)row * cols;
    real dot = 0;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) dot += g[at + j] * y[at + j];
    dot = group_sum(dot, part);
    for (int j = threadIdx.x; j < cols; j += blockDim.x) dx[at + j] = y[at + j] * (g[at + j] - dot);
}

extern "C" __global__ void __launch_bounds__(256) log_softmax_forward(const real* x, real* y, int rows, int cols) {
    __shared__ real part[32];
    const int row = group_row();
    if (row >= rows) return;
    x += (long long)row * cols;
    y += (long long)row * cols;
    real top, total;
    max_and_sum(x, cols, part, top, total);
    const real log_total = log(total);
    for (int j = threadIdx.x; j < cols; j += blockDim.x) y[j] = x[j] - top - log_total;
}

extern "C" __global__ void __launch_bounds__(256)
log_softmax_backward(const real* g, const real* y, real* dx, int rows, int cols) {
    __shared__ real part[32];
    const int row = group_row();
    if (row >= rows) return;
    const long long at = (long long)row * cols;
    real total = 0;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) total += g[at + j];
    total = group_sum(total, part);
    for (int j = threadIdx.x; j < cols; j += blockDim.x) dx[at + j] = g[at + j] - exp(y[at + j]) * total;
}
