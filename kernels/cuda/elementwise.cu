// GELU, its error function, and dropout: each entry of the result depends on one entry of the input.
//
// Bytes for n entries of s bytes: forward 2 n s, backward 3 n s (dropout: 2 n s). Operations: about 30 for a GELU, about
// 12 whole-number ones for a random number. So memory decides: at 4.8 TB/s, 10 M floats forward take 17 us at best.
// Launch: blocks of 256 threads, at most 4096 blocks; each thread takes every (gridDim * 256)-th entry, so that
// neighbouring threads always touch neighbouring addresses. Nothing is stored in between: the dropout mask is computed
// again on the way back, from the seed and the entry's index, by the same hash as kernels/cpu/_random.py.
// Source: Hendrycks and Gimpel 2016 (GELU); Steele, Lea and Flood 2014 (SplitMix64).
#include "common.cuh"

#define EACH(i, n) \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (n); i += (long long)gridDim.x * blockDim.x)

// The probability that a standard normal variable stays below x.
__device__ __forceinline__ real normal_below(real x) { return (real)0.5 * erfc(x * (real)-0.70710678118654752); }

extern "C" __global__ void __launch_bounds__(256) gelu_forward(const real* x, real* y, long long n) {
    EACH(i, n) y[i] = x[i] * normal_below(x[i]);
}

extern "C" __global__ void __launch_bounds__(256) gelu_backward(const real* x, const real* g, real* dx, long long n) {
    EACH(i, n) {
        const real v = x[i], density = (real)0.39894228040143268 * exp((real)-0.5 * v * v);
        dx[i] = g[i] * (normal_below(v) + v * density);
    }
}

extern "C" __global__ void __launch_bounds__(256) erf_forward(const real* x, real* y, long long n) {
    EACH(i, n) y[i] = erf(x[i]);
}

extern "C" __global__ void __launch_bounds__(256) erf_backward(const real* x, const real* g, real* dx, long long n) {
    EACH(i, n) dx[i] = g[i] * (real)1.1283791670955126 * exp(-x[i] * x[i]);
}

// s = (1 + tanh u) / 2 = sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3)
#define TWICE_SLOPE ((real)1.5957691216057308)
#define CUBE ((real)0.044715)

extern "C" __global__ void __launch_bounds__(256) gelu_tanh_forward(const real* x, real* y, long long n) {
    EACH(i, n) {
        const real v = x[i];
        y[i] = v * sigmoid(TWICE_SLOPE * v * ((real)1 + CUBE * v * v));
    }
}

extern "C" __global__ void __launch_bounds__(256) gelu_tanh_backward(const real* x, const real* g, real* dx, long long n) {
    EACH(i, n) {
        const real v = x[i], u = TWICE_SLOPE * v * ((real)1 + CUBE * v * v), s = sigmoid(u);
        const real slope = TWICE_SLOPE * ((real)1 + (real)3 * CUBE * v * v);
        dx[i] = g[i] * (s + v * s * sigmoid(-u) * slope);   // 1 - s = sigmoid(-u), without losing digits
    }
}

// y_i = scale x_i where the 53 random bits of entry i are at least `least`, else 0 x_i.
extern "C" __global__ void __launch_bounds__(256)
dropout(const real* x, real* y, unsigned long long seed, unsigned long long least, real scale, long long n) {
    EACH(i, n) {
        unsigned long long z = seed + (unsigned long long)(i + 1) * 0x9E3779B97F4A7C15ull;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        y[i] = x[i] * (((z ^ (z >> 31)) >> 11) >= least ? scale : (real)0);
    }
}
