// Kernels for the emulator's own tests: first some that are right, then one for each kind of bug. Each bug is marked.
extern "C" __global__ void where_am_i(int* y) {
    int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    y[block * blockDim.x * blockDim.y * blockDim.z + thread] = 1000 * block + thread;
}

extern "C" __global__ void arguments(float* y, int a, unsigned b, long long c, unsigned long long d, float e, double f) {
    y[0] = a; y[1] = b; y[2] = c; y[3] = d; y[4] = e; y[5] = f;
}

extern "C" __global__ void __launch_bounds__(64) reverse(float* y, int n) {
    extern __shared__ float s[];
    int t = threadIdx.x;
    s[t] = y[t];
    __syncthreads();
    y[t] = s[n - 1 - t];
}

extern "C" __global__ void shuffles(int* y) {
    int t = threadIdx.x;
    unsigned all = 0xffffffffu;
    y[t] = __shfl_sync(all, t, 3);
    y[32 + t] = __shfl_up_sync(all, t, 1);
    y[64 + t] = __shfl_down_sync(all, t, 2);
    y[96 + t] = __shfl_xor_sync(all, t, 1, 16);
    y[128 + t] = __shfl_sync(all, t, 1, 8);
}

extern "C" __global__ void votes(int* y) {
    int t = threadIdx.x;
    unsigned all = 0xffffffffu;
    y[t * 8 + 0] = __ballot_sync(all, t < 4);
    y[t * 8 + 1] = __any_sync(all, t == 9);
    y[t * 8 + 2] = __all_sync(all, t >= 0);
    y[t * 8 + 3] = __all_sync(all, t > 0);
    y[t * 8 + 4] = __syncthreads_count(t % 2);
    y[t * 8 + 5] = __syncthreads_or(t == 40);
    y[t * 8 + 6] = __syncthreads_and(t != 40);
    y[t * 8 + 7] = __syncthreads_and(t >= 0);
}

extern "C" __global__ void atomics(float* sum, int* most, int* least) {
    atomicAdd(sum, 1.f);
    atomicMax(most, (int)threadIdx.x);
    atomicMin(least, -(int)threadIdx.x);
}

extern "C" __global__ void doubles(double* y) { y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 0.1 * threadIdx.x, 1); }

extern "C" __global__ void vectors(const float4* x, float4* y) {
    float4 v = x[threadIdx.x];
    y[threadIdx.x] = make_float4(v.w, v.z, v.y, v.x);
}

extern "C" __global__ void warp_exchange(float* y) {
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = y[t];
    __syncwarp();
    y[t] = s[t ^ 1];
}

extern "C" __global__ void many_barriers(float* y, int n) {
    for (int i = 0; i < n; ++i) {
        float v = y[(threadIdx.x + 1) % blockDim.x];
        __syncthreads();
        y[threadIdx.x] = v;
        __syncthreads();
    }
}

// ---- bugs ----
extern "C" __global__ void read_too_early(float* y) {
    __shared__ float s[64];
    s[threadIdx.x] = y[threadIdx.x];
    y[threadIdx.x] = s[63 - threadIdx.x];   // BUG: no barrier before
}

extern "C" __global__ void write_too_early(float* y) {
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = y[t];
    __syncthreads();
    float v = s[63 - t];
    s[t] = v + 1.f;                         // BUG: others may still read
    __syncthreads();
    y[t] = s[t];
}

extern "C" __global__ void broadcast_overwritten(float* y) {
    __shared__ float s[1];
    if (threadIdx.x == 0) s[0] = 1.f;
    __syncthreads();
    y[threadIdx.x] = s[0];
    if (threadIdx.x == 0) s[0] = 2.f;       // BUG: read by all, overwritten by one of them
}

extern "C" __global__ void no_syncwarp(float* y) {
    __shared__ float s[32];
    int t = threadIdx.x;
    s[t] = y[t];
    y[t] = s[t ^ 1];                        // BUG: threads of one warp do not run in step
}

extern "C" __global__ void shuffle_is_no_fence(float* y) {
    __shared__ float s[32];
    int t = threadIdx.x;
    s[t] = y[t];
    __shfl_xor_sync(0xffffffffu, t, 1);
    y[t] = s[t ^ 1];                        // BUG: a shuffle does not order memory
}

extern "C" __global__ void same_element(float* y) { y[0] = y[0] + 1.f; }   // BUG: all threads, all blocks

extern "C" __global__ void blocks_overlap(float* y) { y[blockIdx.x * 16 + threadIdx.x] = 1.f; }   // BUG: for blocks of 32

extern "C" __global__ void other_block_reads(float* x, float* y) {
    y[blockIdx.x] = x[0];
    if (blockIdx.x == gridDim.x - 1) x[0] = 1.f;   // BUG: other blocks read it
}

extern "C" __global__ void atomic_and_plain(float* y) {
    if (threadIdx.x == 0) y[0] = 1.f;       // BUG: the others add at the same time
    else atomicAdd(y, 1.f);
}

extern "C" __global__ void past_the_end(float* y, int n) { if ((int)threadIdx.x <= n) y[threadIdx.x] = 1.f; }   // BUG: <=

extern "C" __global__ void before_the_start(const float* x, float* y) { y[threadIdx.x] = x[(int)threadIdx.x - 1]; }   // BUG

extern "C" __global__ void past_shared(float* y) {
    __shared__ float s[32];
    s[threadIdx.x + 1] = 1.f;               // BUG: s[32]
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x];
}

extern "C" __global__ void past_dynamic_shared(float* y) {
    extern __shared__ float d[];
    d[threadIdx.x + 1] = 1.f;               // BUG: one past the size given at launch
    __syncthreads();
    y[threadIdx.x] = d[threadIdx.x];
}

extern "C" __global__ void misaligned(float* y) {
    float4 v = *reinterpret_cast<const float4*>(y + 1);   // BUG: float4 needs multiples of 16 bytes
    y[0] = v.x + v.y + v.z + v.w;
}

extern "C" __global__ void null_pointer(float* y) {
    float* nothing = nullptr;
    if (threadIdx.x == 0) *nothing = y[0];  // BUG
}

extern "C" __global__ void barrier_in_branch(float* y) {
    if (threadIdx.x < 32) { y[threadIdx.x] = 1.f; __syncthreads(); }   // BUG: half of the threads wait at each
    else { y[threadIdx.x] = 2.f; __syncthreads(); }
}

extern "C" __global__ void barrier_for_some(float* y) {
    if (threadIdx.x < 7) __syncthreads();   // BUG: the others never come
    y[threadIdx.x] = 1.f;
}

extern "C" __global__ void barrier_after_return(float* y, int n) {
    if ((int)threadIdx.x >= n) return;
    __syncthreads();                        // BUG: some have returned
    y[threadIdx.x] = 1.f;
}

extern "C" __global__ void loop_of_barriers(float* y) {
    for (int i = 0; i < (int)threadIdx.x; ++i) __syncthreads();   // BUG: different numbers of barriers
    y[threadIdx.x] = 1.f;
}

extern "C" __global__ void shuffle_after_return(float* y, int n) {
    if ((int)threadIdx.x >= n) return;
    y[threadIdx.x] = __shfl_down_sync(0xffffffffu, 1.f, 1);   // BUG: the mask names lanes that are gone
}

extern "C" __global__ void shuffle_in_branch(float* y) {
    float v = threadIdx.x;
    if (threadIdx.x < 16) v = __shfl_xor_sync(0xffffffffu, v, 1);   // BUG: the other half is elsewhere
    else v = __shfl_xor_sync(0xffffffffu, v, 2);
    y[threadIdx.x] = v;
}

extern "C" __global__ void mask_without_me(float* y) { y[threadIdx.x] = __shfl_sync(0xfffffffeu, 1.f, 1); }   // BUG

extern "C" __global__ void shuffle_from_outside(float* y) {
    if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xffffu, 1.f, 20);   // BUG: lane 20 is not in the mask
}

extern "C" __global__ void uninitialised(float* y) {
    __shared__ float s[64];
    if (threadIdx.x < 32) s[threadIdx.x] = 1.f;
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x];        // BUG: the upper half was never written
}

extern "C" __global__ void left_from_last_block(float* y) {
    __shared__ float s[1];
    if (blockIdx.x == 0 && threadIdx.x == 0) s[0] = 1.f;   // BUG: shared memory does not outlive its block
    __syncthreads();
    y[blockIdx.x * blockDim.x + threadIdx.x] = s[0];
}

// ---- products of matrices by a warp: right, then with bugs. A lane's registers lie side by side in memory. ----
extern "C" __global__ void product(int format, const unsigned* a, const unsigned* b, float* c) {
    int t = threadIdx.x;
    unsigned left[4] = {a[4 * t], a[4 * t + 1], a[4 * t + 2], a[4 * t + 3]}, right[2] = {b[2 * t], b[2 * t + 1]};
    float sums[4] = {c[4 * t], c[4 * t + 1], c[4 * t + 2], c[4 * t + 3]};
    cudasim_mma(format, sums, left, right, __LINE__);
    for (int i = 0; i < 4; ++i) c[4 * t + i] = sums[i];
}

extern "C" __global__ void product_of_swapped(int format, const unsigned* a, const unsigned* b, float* c) {
    int t = threadIdx.x;
    unsigned left[4] = {a[4 * t], a[4 * t + 2], a[4 * t + 1], a[4 * t + 3]}, right[2] = {b[2 * t], b[2 * t + 1]};   // BUG: 1, 2
    float sums[4] = {};
    cudasim_mma(format, sums, left, right, __LINE__);
    for (int i = 0; i < 4; ++i) c[4 * t + i] = sums[i];
}

extern "C" __global__ void rounding(const float* x, unsigned* tf32, unsigned* bfloat16) {
    int t = threadIdx.x;
    tf32[t] = cudasim_to_tf32(x[t]);
    bfloat16[t] = cudasim_to_bfloat16_pair(x[t], 1.f);
}

#define NOTHING {}
extern "C" __global__ void product_without_a_lane(float* y) {
    unsigned left[4] = NOTHING, right[2] = NOTHING;
    if (threadIdx.x != 9) cudasim_mma(1, y + 4 * threadIdx.x, left, right, __LINE__);   // BUG: lane 9 never comes
}

extern "C" __global__ void product_in_branch(float* y) {
    unsigned left[4] = NOTHING, right[2] = NOTHING;
    float sums[4] = NOTHING;
    if (threadIdx.x < 16) cudasim_mma(1, sums, left, right, __LINE__);   // BUG: the other half is elsewhere
    else cudasim_mma(1, sums, left, right, __LINE__);
    y[threadIdx.x] = sums[0];
}

extern "C" __global__ void product_beside_shuffle(float* y) {
    unsigned left[4] = NOTHING, right[2] = NOTHING;
    float sums[4] = NOTHING;
    if (threadIdx.x % 2) cudasim_mma(2, sums, left, right, __LINE__); else sums[0] = __shfl_xor_sync(0xffffffffu, 1.f, 1);   // BUG
    y[threadIdx.x] = sums[0];
}

extern "C" __global__ void product_by_few(float* y) {
    unsigned left[4] = NOTHING, right[2] = NOTHING;
    float sums[4] = NOTHING;
    cudasim_mma(1, sums, left, right, __LINE__);   // BUG: where the block does not fill the warp
    y[threadIdx.x] = sums[0];
}

extern "C" __global__ void product_is_no_fence(float* y) {
    __shared__ float s[32];
    unsigned left[4] = NOTHING, right[2] = NOTHING;
    float sums[4] = NOTHING;
    s[threadIdx.x] = y[threadIdx.x];
    cudasim_mma(1, sums, left, right, __LINE__);
    y[threadIdx.x] = s[threadIdx.x ^ 1];    // BUG: a product does not order memory
}
