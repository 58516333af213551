// Embedding: rows of a table picked by number, and the sum of the gradients of equal numbers.
//
// Bytes for n ids and rows of D numbers of s bytes: forward 2 n D s (the reads may hit the cache); backward n D s read,
// and each row that occurs written once. Operations: none forward, n D additions backward. Memory decides.
// Launch: blocks of 8 warps, one warp for each id; its lanes walk along the row, so their addresses are neighbours.
// Backward: two places with the same id must not write the same row at once. Additions by atomics would end in an order
// of their own in each run, and float sums depend on the order. So the host sorts the ids (stably); the warp at the
// first place of a run of equal ids adds up the run in order: one writer for each row, and the same bits every time.
// `embedding_backward_atomic` is the plain first version, for comparison. Source: sums over segments, Blelloch 1990.
// An id outside the table gives NaN and is noted for the host (_late.py): to refuse it at once, the host would have to
// wait for the device. `check_indices` does only that, for operations that choose by the array library: 8 n bytes read.
#include "common.cuh"

__device__ __forceinline__ long long warp_number() { return blockIdx.x * (long long)blockDim.y + threadIdx.y; }

extern "C" __global__ void __launch_bounds__(256)
embedding_forward(const long long* ids, const real* weight, real* out, unsigned long long* worst, long long n, int table,
                  int width) {
    const long long i = warp_number();
    if (i >= n) return;
    const long long id = ids[i];
    const bool known = id >= 0 && id < table;
    if (threadIdx.x == 0) report_index(id, table, worst);
    for (int j = threadIdx.x; j < width; j += 32) out[i * width + j] = known ? weight[id * width + j] : NOT_A_NUMBER;
}

// `sorted` are the ids in ascending order, `places` where each stood; dweight is 0 before.
extern "C" __global__ void __launch_bounds__(256)
embedding_backward(const long long* sorted, const long long* places, const real* g, real* dweight, long long n, int table,
                   int width, long long padding) {
    const long long first = warp_number();
    if (first >= n) return;
    const long long id = sorted[first];
    if (id < 0 || id >= table || id == padding) return;
    if (first > 0 && sorted[first - 1] == id) return;
    for (int j = threadIdx.x; j < width; j += 32) {
        real sum = 0;
        for (long long i = first; i < n && sorted[i] == id; ++i) sum += g[places[i] * width + j];
        dweight[id * width + j] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(256)
embedding_backward_atomic(const long long* ids, const real* g, real* dweight, long long n, int table, int width,
                          long long padding) {
    const long long i = warp_number();
    if (i >= n) return;
    const long long id = ids[i];
    if (id < 0 || id >= table || id == padding) return;
    for (int j = threadIdx.x; j < width; j += 32) atomicAdd(&dweight[id * width + j], g[i * width + j]);
}

extern "C" __global__ void __launch_bounds__(256)
check_indices(const long long* ids, long long n, long long least, long long size, unsigned long long* worst) {
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += step)
        report_index(ids[i] - least, size - least, worst);
}
