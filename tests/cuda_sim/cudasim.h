// The part of CUDA C++ that the kernels use, for a host compiler: a .cu file is compiled behind this header, unchanged,
// and each of its threads becomes a fiber (scheduler.cpp). In check mode every load and store is watched (checker.cpp).
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>
#include <utility>

#define CUDASIM 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __constant__ static
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("cudasim_shared")))
#define __restrict__

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// ---- what scheduler.cpp and checker.cpp provide ----
struct CudasimPlace { uint3 thread, block; dim3 block_size, grid_size; char* dynamic; };
extern "C" {
extern CudasimPlace cudasim_here;
int cudasim_barrier(int vote, int line);            // returns the number of threads with vote != 0
uint64_t cudasim_warp(int op, unsigned mask, uint64_t value, int argument, int width, int line);
void cudasim_mma(int format, float* c, const unsigned* a, const unsigned* b, int line);
void cudasim_atomic(void* address, size_t size, const void* caller);
int cudasim_launch(void (*call)(void*), void* context, const unsigned* shape, int most_threads);
}
#define threadIdx (cudasim_here.thread)
#define blockIdx (cudasim_here.block)
#define blockDim (cudasim_here.block_size)
#define gridDim (cudasim_here.grid_size)
#define CUDASIM_DYNAMIC_SHARED(T, name) T* name = reinterpret_cast<T*>(cudasim_here.dynamic)

// ---- barriers, votes, shuffles ----
enum { CUDASIM_SYNC, CUDASIM_INDEX, CUDASIM_UP, CUDASIM_DOWN, CUDASIM_XOR, CUDASIM_BALLOT, CUDASIM_MMA };
#define __syncthreads() ((void)cudasim_barrier(0, __LINE__))
#define __syncthreads_count(p) cudasim_barrier((p) != 0, __LINE__)
#define __syncthreads_or(p) (cudasim_barrier((p) != 0, __LINE__) != 0)
#define __syncthreads_and(p) (cudasim_barrier((p) == 0, __LINE__) == 0)
static inline void cudasim_syncwarp(int line, unsigned mask = 0xffffffffu) {
    cudasim_warp(CUDASIM_SYNC, mask, 0, 0, 32, line);
}
#define __syncwarp(...) cudasim_syncwarp(__LINE__, ##__VA_ARGS__)
template <class T> static inline T cudasim_shuffle(int line, int op, unsigned mask, T value, int argument, int width = 32) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = cudasim_warp(op, mask, bits, argument, width, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}
#define __shfl_sync(...) cudasim_shuffle(__LINE__, CUDASIM_INDEX, __VA_ARGS__)
#define __shfl_up_sync(...) cudasim_shuffle(__LINE__, CUDASIM_UP, __VA_ARGS__)
#define __shfl_down_sync(...) cudasim_shuffle(__LINE__, CUDASIM_DOWN, __VA_ARGS__)
#define __shfl_xor_sync(...) cudasim_shuffle(__LINE__, CUDASIM_XOR, __VA_ARGS__)
#define __ballot_sync(mask, p) ((unsigned)cudasim_warp(CUDASIM_BALLOT, mask, (p) != 0, 0, 32, __LINE__))
#define __any_sync(mask, p) (__ballot_sync(mask, p) != 0u)
#define __all_sync(mask, p) (__ballot_sync(mask, (p) == 0) == 0u)

// ---- rounding for tensor cores, as the PTX instructions cvt.rna.tf32.f32 and cvt.rn.bf16x2.f32 do it ----
static inline unsigned cudasim_to_tf32(float x) {
    unsigned bits;
    memcpy(&bits, &x, 4);
    return x != x ? 0x7fffffffu : (bits + 0x1000u) & 0xffffe000u;   // to the nearest, ties away from zero
}
static inline unsigned cudasim_to_bfloat16(float x) {
    unsigned bits;
    memcpy(&bits, &x, 4);
    return x != x ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;   // to the nearest, ties to even
}
static inline unsigned cudasim_to_bfloat16_pair(float high, float low) {
    return cudasim_to_bfloat16(high) << 16 | cudasim_to_bfloat16(low);
}

// ---- atomics: the fibers run on one thread of the operating system, so read-change-write can't be interrupted ----
#define CUDASIM_ATOMIC(name, result)                                                                                 \
    template <class T>                                                                                               \
    __attribute__((no_sanitize("thread"), noinline)) static T name(T* address, std::common_type_t<T> value) {        \
        cudasim_atomic(address, sizeof(T), __builtin_return_address(0));                                             \
        T old = *address;                                                                                            \
        *address = (result);                                                                                         \
        return old;                                                                                                  \
    }
CUDASIM_ATOMIC(atomicAdd, old + value)
CUDASIM_ATOMIC(atomicExch, value)
CUDASIM_ATOMIC(atomicMax, old > value ? old : value)
CUDASIM_ATOMIC(atomicMin, old < value ? old : value)

// ---- arithmetic ----
template <class T> static inline T min(T a, T b) { return b < a ? b : a; }
template <class T> static inline T max(T a, T b) { return a < b ? b : a; }
static inline float __int_as_float(int bits) { float f; memcpy(&f, &bits, 4); return f; }
static inline int __float_as_int(float f) { int bits; memcpy(&bits, &f, 4); return bits; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline float rsqrtf(float x) { return 1.f / sqrtf(x); }

// ---- one C entry for each kernel: its arguments come as an array of pointers, as a CUDA driver takes them ----
template <class... A> struct CudasimCall {
    void (*kernel)(A...);
    void** arguments;
    template <size_t... I> __attribute__((no_sanitize("thread"))) void go(std::index_sequence<I...>) {
        kernel(*static_cast<std::remove_cv_t<A>*>(arguments[I])...);
    }
    __attribute__((no_sanitize("thread"))) static void run(void* self) {
        static_cast<CudasimCall*>(self)->go(std::index_sequence_for<A...>{});
    }
};
template <class... A> int cudasim_run(void (*kernel)(A...), void** arguments, const unsigned* shape, int most_threads) {
    CudasimCall<A...> call{kernel, arguments};
    return cudasim_launch(&CudasimCall<A...>::run, &call, shape, most_threads);
}
// One letter for each parameter, those of Python's struct module, and P for a pointer.
template <class T> constexpr char cudasim_letter() {
    if (std::is_pointer_v<T>) return 'P';
    if (std::is_floating_point_v<T>) return sizeof(T) == 4 ? 'f' : 'd';
    return sizeof(T) == 8 ? (std::is_signed_v<T> ? 'q' : 'Q') : sizeof(T) == 4 ? (std::is_signed_v<T> ? 'i' : 'I') : '?';
}
template <class... A> const char* cudasim_letters(void (*)(A...)) {
    static const char letters[] = {cudasim_letter<std::remove_cv_t<A>>()..., 0};
    return letters;
}
#define CUDASIM_VISIBLE extern "C" __attribute__((visibility("default")))
#define CUDASIM_EXPORT(name, most_threads)                                                                            \
    CUDASIM_VISIBLE int cudasim_run_##name(void** cudasim_a, const unsigned* cudasim_s) { return cudasim_run(&name, cudasim_a, cudasim_s, most_threads); } \
    CUDASIM_VISIBLE const char* cudasim_letters_##name() { return cudasim_letters(&name); }
