// One step of Adam or AdamW, and the length of all gradients taken as one vector, over many arrays in one launch.
//
// The arrays are treated as one flat buffer, in which each begins at a block of its own. They stay where they are: a
// table holds their addresses. (Copying the gradients into a buffer of their own would cost 8 bytes more for each
// float, beside the 28 below; moving the parameters would tear them from tensors that share their memory.)
//
// Bytes for n entries of s bytes: Adam 4 n s read (p, g, m, v) and 3 n s written: 28 bytes for each float. Operations:
// about 12 for each entry, with a root and a division. Memory decides: at 4.8 TB/s, 10 M floats take 58 us at best.
// The length reads n s; the scaling, for those who want shorter gradients and no step, moves 2 n s.
// Launch: blocks of 256 threads, each for 1024 entries of one array; the block finds its array by bisection in `layout`.
// A thread loads all it needs of its 4 entries before it stores anything, so that many loads are under way at once.
// The factor of gradient clipping is read on the device, so the host never waits for the gradients' length.
// Source: Kingma and Ba 2015; Loshchilov and Hutter 2019; the length as in BLAS's nrm2: squares of x / max |x|, which
// neither overflow nor vanish.
#include "common.cuh"

#define PER_THREAD 4
#define STRETCH (256 * PER_THREAD)

struct Stretch { int array; long long begin, end; };

// `layout` holds, for each of `count` arrays, the number of its first block; then their sizes.
__device__ __forceinline__ Stretch my_stretch(const long long* layout, int count) {
    int low = 0, high = count;                 // the last array whose first block does not lie behind this one
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        (layout[middle] <= blockIdx.x ? low : high) = middle;
    }
    const long long begin = (blockIdx.x - layout[low]) * STRETCH + threadIdx.x;
    return {low, begin, layout[count + low]};
}

#define EACH_OF_MINE(k, i, s) \
    _Pragma("unroll") for (int k = 0; k < PER_THREAD; ++k) \
        if (const long long i = s.begin + k * 256; i < s.end)

extern "C" __global__ void __launch_bounds__(256)
adam(real* const* p, real* const* m, real* const* v, const real* const* g, const long long* layout, int count,
     const real* grad_scale, real coupled, real shrink, real rate_1, real keep_2, real rate_2, real root, real eps,
     real size) {
    const Stretch s = my_stretch(layout, count);
    real *my_p = p[s.array], *my_m = m[s.array], *my_v = v[s.array];
    const real *my_g = g[s.array], scale = grad_scale[0];
    real old_p[PER_THREAD], old_m[PER_THREAD], old_v[PER_THREAD], old_g[PER_THREAD];
    EACH_OF_MINE(k, i, s) {
        old_p[k] = my_p[i];
        old_m[k] = my_m[i];
        old_v[k] = my_v[i];
        old_g[k] = my_g[i];
    }
    EACH_OF_MINE(k, i, s) {
        const real d = scale * old_g[k] + coupled * old_p[k];
        const real new_m = old_m[k] + rate_1 * (d - old_m[k]), new_v = keep_2 * old_v[k] + rate_2 * d * d;
        my_m[i] = new_m;
        my_v[i] = new_v;
        my_p[i] = shrink * old_p[k] - size * new_m / (sqrt(new_v) * root + eps);
    }
}

// For each block the largest |x|, and the sum of (x / largest)^2.
extern "C" __global__ void __launch_bounds__(256)
square_sums(const real* const* x, const long long* layout, int count, real* tops, real* sums) {
    __shared__ real part[32];
    const Stretch s = my_stretch(layout, count);
    const real* mine = x[s.array];
    real size[PER_THREAD] = {}, top = 0, sum = 0;
    EACH_OF_MINE(k, i, s) size[k] = fabs(mine[i]);
    EACH_OF_MINE(k, i, s) top = larger(top, size[k]);
    top = group_max(top, part);
    EACH_OF_MINE(k, i, s) {
        const real share = size[k] == top ? (real)1 : size[k] / top;   // also for 0 and infinity; NaN stays NaN
        sum += share * share;
    }
    sum = group_sum(sum, part);
    if (threadIdx.x) return;
    tops[blockIdx.x] = top;
    sums[blockIdx.x] = sum;
}

// result[0] = the length of the whole vector; result[1] = limit / (length + 1e-6), at most 1.
extern "C" __global__ void __launch_bounds__(256)
clip_factor(const real* tops, const real* sums, int blocks, real limit, real* result) {
    __shared__ real part[32];
    real top = 0, sum = 0;
    for (int b = threadIdx.x; b < blocks; b += 256) top = larger(top, tops[b]);
    top = group_max(top, part);
    for (int b = threadIdx.x; b < blocks; b += 256) {
        const real share = tops[b] == top ? (real)1 : tops[b] / top;
        sum += sums[b] * share * share;
    }
    sum = group_sum(sum, part);
    if (threadIdx.x) return;
    const real length = top * sqrt(sum), factor = limit / (length + (real)1e-6);
    result[0] = length;
    result[1] = factor >= (real)1 ? (real)1 : factor;
}

extern "C" __global__ void __launch_bounds__(256)
scale_all(const real* const* x, real* const* y, const long long* layout, int count, const real* factor) {
    const Stretch s = my_stretch(layout, count);
    const real *from = x[s.array], scale = factor[0];
    real* to = y[s.array];
    EACH_OF_MINE(k, i, s) to[i] = scale * from[i];
}
