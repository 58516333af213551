// Cross entropy of class scores (logits), with class weights, ignored targets and label smoothing.
//
// Bytes for n = rows * classes entries of s bytes: forward n s read, 4 numbers written for each row; backward n s read
// and n s written. Operations: one exponential for each entry in each direction. Memory decides.
// The probabilities are never written: forward keeps each row's maximum and the logarithm of its sum of exponentials,
// and backward finds the probabilities again from them. Nothing waits for the host: the divisor of the mean stays on
// the device, and a target outside 0 .. classes - 1 gives NaN and is noted for the host (_late.py).
// Launch: as in softmax.cu; `cross_entropy_reduce` is one block of 256 threads that adds in a fixed order.
// Source: Milakov and Gimelshein 2018, as in softmax.cu; label smoothing as in Szegedy and others 2016.
#include "common.cuh"

// loss = -(1 - smooth) w_t l_t - smooth / classes sum_c w_c l_c with l = log softmax(x); row_weight = w_t.
extern "C" __global__ void __launch_bounds__(256)
cross_entropy_forward(const real* x, const long long* target, const real* weight, long long ignore, real smooth,
                      real* losses, real* row_weights, real* tops, real* log_totals, unsigned long long* worst, int rows,
                      int classes) {
    __shared__ real part[32];
    const int row = group_row();
    if (row >= rows) return;
    x += (long long)row * classes;
    real top = NEGATIVE_INFINITY, total = 0, spread = 0;
    for (int j = threadIdx.x; j < classes; j += blockDim.x) top = larger(top, x[j]);
    top = group_max(top, part);
    for (int j = threadIdx.x; j < classes; j += blockDim.x) total += exp(x[j] - top);
    const real log_total = log(group_sum(total, part));
    if (smooth > 0) {
        for (int j = threadIdx.x; j < classes; j += blockDim.x) spread += weight[j] * (x[j] - top - log_total);
        spread = group_sum(spread, part);
    }
    if (threadIdx.x) return;
    const long long t = target[row];
    const bool counts = t != ignore, known = t >= 0 && t < classes;
    if (counts) report_index(t, classes, worst);
    const real w = !counts ? (real)0 : known ? weight[t] : NOT_A_NUMBER;
    const real hit = known ? (smooth - (real)1) * w * (x[t] - top - log_total) : NOT_A_NUMBER;
    losses[row] = counts ? hit - smooth * spread / (real)classes : (real)0;
    row_weights[row] = w;
    tops[row] = top;
    log_totals[row] = log_total;
}

// result[0] = sum of the losses, divided by the sum of the weights if `mean`; result[1] = sum of the weights.
extern "C" __global__ void __launch_bounds__(256)
cross_entropy_reduce(const real* losses, const real* row_weights, int mean, real* result, int rows) {
    __shared__ real part[32];
    real total = 0, weights = 0;
    for (int r = threadIdx.x; r < rows; r += blockDim.x) {
        total += losses[r];
        weights += row_weights[r];
    }
    total = group_sum(total, part);
    weights = group_sum(weights, part);
    if (threadIdx.x == 0) {
        result[0] = mean ? total / weights : total;
        result[1] = weights;
    }
}

// g holds one number for each row if `g_step` is 1, one for all if it is 0; it is divided by `divisor` if `mean`.
extern "C" __global__ void __launch_bounds__(256)
cross_entropy_backward(const real* x, const long long* target, const real* weight, long long ignore, real smooth,
                       const real* tops, const real* log_totals, const real* g, int g_step, const real* divisor, int mean,
                       real* dx, int rows, int classes) {
    __shared__ real part[32];
    const int row = group_row();
    if (row >= rows) return;
    x += (long long)row * classes;
    dx += (long long)row * classes;
    const long long t = target[row];
    const bool counts = t != ignore, known = t >= 0 && t < classes;
    const real count = mean ? divisor[0] : (real)1;        // 0 where no target has a weight: nothing is to be learned
    const real scale = counts && count != 0 ? g[(long long)row * g_step] / count : (real)0;
    const real hit = !counts ? (real)0 : known ? scale * ((real)1 - smooth) * weight[t] : NOT_A_NUMBER;
    real all_weights = 0;
    if (smooth > 0) {
        for (int j = threadIdx.x; j < classes; j += blockDim.x) all_weights += weight[j];
        all_weights = group_sum(all_weights, part);
    }
    const real share = scale * smooth / (real)classes, factor = hit + share * all_weights;
    const real top = tops[row], log_total = log_totals[row];
    for (int j = threadIdx.x; j < classes; j += blockDim.x) {
        const real p = exp(x[j] - top - log_total);
        dx[j] = counts ? factor * p - share * weight[j] - (j == t ? hit : (real)0) : (real)0;
    }
}
