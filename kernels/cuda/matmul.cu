// What a layer's affine map y = x W^T + b needs beside its matrix products, which are cuBLAS's.
//
// Bytes for a (rows, cols) matrix of s-byte numbers: `add_bias` rows cols s read and as much written, in place, where
// adding with arrays would write a second matrix; `column_sums` rows cols s read. Operations: one for each entry.
// Launch: `add_bias` as in softmax.cu, a warp or a block for each row. `column_sums`: blocks of (32, 8) take 32 columns
// and a stretch of rows and leave a partial sum, which the host adds up: no atomics, so the same bits every time.
// Source: the sums in two stages are those of Harris 2007, "Optimizing Parallel Reduction in CUDA".
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256) add_bias(real* y, const real* bias, int rows, int cols) {
    const int row = group_row();
    if (row >= rows) return;
    y += (long long)row * cols;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) y[j] += bias[j];
}

// Sums down the columns over rows blockIdx.x * stretch up to the next stretch, into sums (gridDim.x, cols).
extern "C" __global__ void __launch_bounds__(256)
column_sums(const real* x, real* sums, int rows, int cols, int stretch) {
    __shared__ real part[8][33];
    const int lane = threadIdx.x, line = threadIdx.y, j = blockIdx.y * 32 + lane;
    const int end = min(rows, (int)(blockIdx.x + 1) * stretch);
    real sum = 0;
    for (int r = blockIdx.x * stretch + line; r < end && j < cols; r += 8) sum += x[(long long)r * cols + j];
    part[line][lane] = sum;
    __syncthreads();
    if (line > 0 || j >= cols) return;
    for (int k = 1; k < 8; ++k) sum += part[k][lane];
    sums[(long long)blockIdx.x * cols + j] = sum;
}
