// One step of Adam or AdamW on one flat array.
//
// Bytes for n entries of s bytes: 4 n s read (p, g, m, v) and 3 n s written: 28 bytes for each float. Operations: about
// 12 for each entry, with a root and a division. Memory decides: at 4.8 TB/s, 10 M floats take 58 us at best.
// Launch: blocks of 256 threads, at most 4096 blocks, as in elementwise.cu. Written with arrays, the formula moves each
// of p, g, m and v through memory several times; here each is moved once. The factor of gradient clipping is read on
// the device, so the host never waits for the gradient's length.
// Source: Kingma and Ba 2015; Loshchilov and Hutter 2019.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
adam(real* p, real* m, real* v, const real* g, const real* grad_scale, real coupled, real shrink, real rate_1, real keep_2,
     real rate_2, real root, real eps, real size, long long n) {
    const real scale = grad_scale[0];
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += step) {
        const real p_i = p[i], d = scale * g[i] + coupled * p_i;
        const real m_i = m[i] + rate_1 * (d - m[i]);
        const real v_i = keep_2 * v[i] + rate_2 * d * d;
        m[i] = m_i;
        v[i] = v_i;
        p[i] = shrink * p_i - size * m_i / (sqrt(v_i) * root + eps);
    }
}
