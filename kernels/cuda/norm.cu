// Layer norm and RMS norm over the last axis.
//
// Bytes for n entries of s bytes: forward 2 n s if a row stays in the cache between its passes, backward 3 n s for dx
// and 2 n s for the gradients of weight and bias. Operations: about 10 for each entry. Memory decides.
// Launch: dx and forward as in softmax.cu, a warp or a block for each row. The gradients of weight and bias are sums
// down the columns: blocks of (32, 8) take 32 columns and a stretch of rows and leave a partial sum, which the host
// adds up. No atomics, so the same bits every time.
// Source: Ba, Kiros and Hinton 2016; Zhang and Sennrich 2019. The variance is taken from the deviations, not as
// mean(x^2) - mean(x)^2, which loses all digits where the mean is large.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
layer_norm_forward(const real* x, const real* weight, const real* bias, real eps, real* y, real* means, real* scales, int rows,
                   int cols) {
    __shared__ real part[32];
    const int row = group_row();
    if (row >= rows) return;
    x += (long long)row * cols;
    y += (long long)row * cols;
    real sum = 0, squares = 0;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) sum += x[j];
    const real mean = group_sum(sum, part) / (real)cols;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) squares += (x[j] - mean) * (x[j] - mean);
    const real scale = (real)1 / sqrt(group_sum(squares, part) / (real)cols + eps);
    for (int j = threadIdx.x; j < cols; j += blockDim.x) y[j] = (x[j] - mean) * scale * weight[j] + bias[j];
    if (threadIdx.x == 0) {
        means[row] = mean;
        scales[row] = scale;
    }
}

extern "C" __global__ void __launch_bounds__(256)
rms_norm_forward(const real* x, const real* weight, real eps, real* y, real* scales, int rows, int cols) {
    __shared__ real part[32];
    const int row = group_row();
    if (row >= rows) return;
    x += (long long)row * cols;
    y += (long long)row * cols;
    real squares = 0;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) squares += x[j] * x[j];
    const real scale = (real)1 / sqrt(group_sum(squares, part) / (real)cols + eps);
    for (int j = threadIdx.x; j < cols; j += blockDim.x) y[j] = x[j] * scale * weight[j];
    if (threadIdx.x == 0) scales[row] = scale;
}

// dx = (h - mean(h) - n mean(h n)) scale with n = (x - mean) scale, h = g weight; RMS norm (`centred` 0) has no mean(h),
// and its means are 0.
extern "C" __global__ void __launch_bounds__(256)
norm_backward(const real* x, const real* g, const real* weight, const real* means, const real* scales, int centred, real* dx,
              int rows, int cols) {
    __shared__ real part[32];
    const int row = group_row();
    if (row >= rows) return;
    const long long at = (long long)row * cols;
    const real mean = means[row], scale = scales[row];
    real sum_h = 0, sum_hn = 0;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) {
        const real h = g[at + j] * weight[j];
        sum_h += h;
        sum_hn += h * (x[at + j] - mean) * scale;
    }
    sum_h = centred ? group_sum(sum_h, part) : (real)0;
    sum_hn = group_sum(sum_hn, part);
    const real mean_h = sum_h / (real)cols, mean_hn = sum_hn / (real)cols;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) {
        const real n = (x[at + j] - mean) * scale;
        dx[at + j] = (g[at + j] * weight[j] - mean_h - n * mean_hn) * scale;
    }
}

// Partial sums of g n and of g over rows blockIdx.x * stretch up to the next stretch, into sums (2, gridDim.x, cols).
extern "C" __global__ void __launch_bounds__(256)
norm_backward_weights(const real* x, const real* g, const real* means, const real* scales, real* sums, int rows, int cols,
                      int stretch) {
    __shared__ real weight_part[8][33], bias_part[8][33];
    const int lane = threadIdx.x, line = threadIdx.y, j = blockIdx.y * 32 + lane;
    const int end = min(rows, (int)(blockIdx.x + 1) * stretch);
    real dweight = 0, dbias = 0;
    for (int r = blockIdx.x * stretch + line; r < end && j < cols; r += 8) {
        const long long at = (long long)r * cols + j;
        dweight += g[at] * (x[at] - means[r]) * scales[r];
        dbias += g[at];
    }
    weight_part[line][lane] = dweight;
    bias_part[line][lane] = dbias;
    __syncthreads();
    if (line > 0 || j >= cols) return;
    for (int k = 1; k < 8; ++k) {
        dweight += weight_part[k][lane];
        dbias += bias_part[k][lane];
    }
    sums[(long long)blockIdx.x * cols + j] = dweight;
    sums[((long long)gridDim.x + blockIdx.x) * cols + j] = dbias;
}
