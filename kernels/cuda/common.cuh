// What the kernel files share. `real` is float, or double where the host compiles with -DREAL=double.
//
// Rows: several kernels give each row of a matrix to a group of blockDim.x threads. For short rows that is one warp,
// and a block holds blockDim.y rows; for long rows it is the whole block (blockDim.y = 1).
#pragma once
#ifndef REAL
#define REAL float
#endif
typedef REAL real;

#define ALL_LANES 0xffffffffu
#define NEGATIVE_INFINITY ((real)__int_as_float(0xff800000))
#define NOT_A_NUMBER ((real)__int_as_float(0x7fffffff))

__device__ __forceinline__ real larger(real a, real b) { return b > a ? b : a; }

// Notes an index outside 0 .. size - 1 where the host will read it (_late.py): how far outside it lies, times 2, plus 1
// if it lies below 0. The largest such number stays, so the order of the threads does not matter.
__device__ __forceinline__ void report_index(long long id, long long size, unsigned long long* worst) {
    if (id < 0) atomicMax(worst, ((0ull - (unsigned long long)id) << 1) | 1ull);
    if (id >= size) atomicMax(worst, ((unsigned long long)(id - size) + 1ull) << 1);
}

// Sum over the 32 lanes of a warp, by shuffles: every lane gets it, and the same bits.
__device__ __forceinline__ real warp_sum(real v) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(ALL_LANES, v, step);
    return v;
}

__device__ __forceinline__ real warp_max(real v) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) v = larger(v, __shfl_xor_sync(ALL_LANES, v, step));
    return v;
}

// One number from each warp of a group, to all of its warps: lane i gets that of warp i, others `rest`.
__device__ __forceinline__ real exchange(real v, real rest, real* part) {
    const int lane = threadIdx.x % 32;
    __syncthreads();                       // `part` may still be read from an earlier exchange
    if (lane == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    return lane < (int)blockDim.x / 32 ? part[lane] : rest;
}

// Sum and maximum over the group of threads that share a row. `part` is shared memory for 32 numbers.
__device__ __forceinline__ real group_sum(real v, real* part) {
    v = warp_sum(v);
    return blockDim.x == 32 ? v : warp_sum(exchange(v, 0, part));
}

__device__ __forceinline__ real group_max(real v, real* part) {
    v = warp_max(v);
    return blockDim.x == 32 ? v : warp_max(exchange(v, NEGATIVE_INFINITY, part));
}

__device__ __forceinline__ int group_row() { return blockIdx.x * blockDim.y + threadIdx.y; }

// The logistic function 1 / (1 + e^-x), without overflow on either side.
__device__ __forceinline__ real sigmoid(real x) {
    const real e = exp(x < 0 ? x : -x);
    return (x < 0 ? e : (real)1) / ((real)1 + e);
}
