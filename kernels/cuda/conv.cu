// Convolution over one dimension: the windows of a sequence as columns of a matrix, so that one product does the rest.
//
// x (B, C, T), L windows of K steps, O filters: the product has 2 B L C K O operations. Bytes beside it: the columns are
// written once and read twice (forward, and backward for the weights), B L C K numbers each; they are K times as many
// as x has. Written with arrays, padding, cutting, turning and adding the bias are a pass over memory each; here all
// that comes before the product is one kernel, and all that comes after it another.
// Layout: columns (C K, B L), so that neighbouring threads read and write neighbouring steps, and one product with the
// filters (O, C K) gives (O, B L) for all sequences at once.
// Launch: as in softmax.cu, a warp or a block for each row along L or T.
// Source: Chellapilla, Puri and Simard 2006 (convolution as a product, "im2col").
#include "common.cuh"

// columns[(c K + k), b, l] = x[b, c, l stride + k dilation - padding], and 0 outside of x.
extern "C" __global__ void __launch_bounds__(256)
columns_of(const real* x, real* columns, int batch, int channels, int time, int size, int windows, int stride, int padding,
           int dilation) {
    const int row = group_row();
    if (row >= channels * size * batch) return;
    const int b = row % batch, c = row / batch / size, k = row / batch % size;
    x += ((long long)b * channels + c) * time;
    columns += (long long)row * windows;
    for (int l = threadIdx.x; l < windows; l += blockDim.x) {
        const int t = l * stride + k * dilation - padding;
        columns[l] = t >= 0 && t < time ? x[t] : (real)0;
    }
}

// The way back: dx[b, c, t] is the sum of the columns' entries that were read from there, in the order of k.
extern "C" __global__ void __launch_bounds__(256)
columns_back(const real* columns, real* dx, int batch, int channels, int time, int size, int windows, int stride, int padding,
             int dilation) {
    const int row = group_row();
    if (row >= batch * channels) return;
    const int b = row / channels, c = row % channels;
    dx += (long long)row * time;
    for (int t = threadIdx.x; t < time; t += blockDim.x) {
        real sum = 0;
        for (int k = 0; k < size; ++k) {
            const int from = t + padding - k * dilation, l = from / stride;
            if (from >= 0 && from % stride == 0 && l < windows)
                sum += columns[((long long)(c * size + k) * batch + b) * windows + l];
        }
        dx[t] = sum;
    }
}

// y[b, o, l] = product[o, b, l] + bias[o]
extern "C" __global__ void __launch_bounds__(256)
filters_inside(const real* product, const real* bias, real* y, int batch, int filters, int windows) {
    const int row = group_row();
    if (row >= batch * filters) return;
    const int b = row / filters, o = row % filters;
    product += ((long long)o * batch + b) * windows;
    y += (long long)row * windows;
    for (int l = threadIdx.x; l < windows; l += blockDim.x) y[l] = product[l] + bias[o];
}
