// Products of small matrices by a warp as a whole, C += A B on tensor cores, and the rounding of what goes into them.
// FORMAT 1: TF32, 8 bits of exponent and 10 of fraction. FORMAT 2: bfloat16, 8 and 7. Sums are float32. sm_80 and later.
//
// Each lane holds a part of each matrix, its fragment. With g = lane / 4 and t = lane % 4, (row, column):
//
//   m16n8k8, TF32         A 16 x 8    a0 (g, t)            a1 (g + 8, t)             a2 (g, t + 4)     a3 (g + 8, t + 4)
//                         B 8 x 8     b0 (t, g)            b1 (t + 4, g)
//   m16n8k16, bfloat16    A 16 x 16   a0 (g, 2t + 0 1)     a1 (g + 8, 2t + 0 1)      a2 (g, 2t + 8 9)  a3 (g + 8, 2t + 8 9)
//   two in a register     B 16 x 8    b0 (2t + 0 1, g)     b1 (2t + 8 9, g)
//   both                  C 16 x 8    c0 c1 (g, 2t + 0 1)  c2 c3 (g + 8, 2t + 0 1)
//
// Sources: PTX ISA 9.x, 9.7.14.5.7 "Matrix Fragments for mma.m16n8k8" and 9.7.14.5.8 "... m16n8k16 with floating point
// type" (g is groupID, t is threadID_in_group); the same as strides in CUTLASS, cute/atom/mma_traits_sm80.hpp,
// SM80_16x8x8_F32TF32TF32F32_TN and SM80_16x8x16_F32BF16BF16F32_TN.
//
// A product sums over k, so it may take the columns of A in another order if it takes the rows of B in the same. Here
// column 2t of a TF32 matrix stands where the table says t, and 2t + 1 where it says t + 4. So in both formats a lane
// holds pairs of neighbours along k, and the C of one product is, lane by lane, the A of the next.
#pragma once
#ifndef FORMAT
#define FORMAT 1
#endif
#define CHUNKS FORMAT              // one product takes so many times 8 columns of A
#define DEPTH (8 * CHUNKS)

#ifdef CUDASIM                     // the emulator has these three instructions as functions
#define to_tf32(x) cudasim_to_tf32(x)
#define to_bfloat16_pair(high, low) cudasim_to_bfloat16_pair(high, low)
#define mma(c, a, b) cudasim_mma(FORMAT, c, a, b, __LINE__)
#else
__device__ __forceinline__ unsigned to_tf32(float x) {    // to the nearest, ties away from zero
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}
__device__ __forceinline__ unsigned to_bfloat16_pair(float high, float low) {    // to the nearest, ties to even
    unsigned bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
}
#if FORMAT == 1
#define MMA_INSTRUCTION "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
#else
#define MMA_INSTRUCTION "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
#endif
__device__ __forceinline__ void mma(float* c, const unsigned* a, const unsigned* b) {
    asm volatile(MMA_INSTRUCTION " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// Two numbers that are neighbours along k, rounded.
#if FORMAT == 1
struct alignas(8) Pair { unsigned first, second; };
__device__ __forceinline__ Pair pair(float first, float second) { return {to_tf32(first), to_tf32(second)}; }
#else
struct Pair { unsigned both; };
__device__ __forceinline__ Pair pair(float first, float second) { return {to_bfloat16_pair(second, first)}; }
#endif

struct Left { Pair upper[CHUNKS], lower[CHUNKS]; };    // of A, 16 x DEPTH: row g, row g + 8; columns 8 i + 2t, + 1
struct Right { Pair pairs[CHUNKS]; };                  // of B, DEPTH x 8: rows 8 i + 2t, + 1; column g
struct Sums { float c[4]; };                           // of C, 16 x 8: row g (0, 1), row g + 8 (2, 3); columns 2t, 2t + 1

__device__ __forceinline__ int lane_g() { return threadIdx.x % 32 / 4; }
__device__ __forceinline__ int lane_t() { return threadIdx.x % 4; }

__device__ __forceinline__ void multiply(Sums& sums, const Left& left, const Right& right) {
#if FORMAT == 1
    const unsigned a[4] = {left.upper[0].first, left.lower[0].first, left.upper[0].second, left.lower[0].second};
    const unsigned b[2] = {right.pairs[0].first, right.pairs[0].second};
#else
    const unsigned a[4] = {left.upper[0].both, left.lower[0].both, left.upper[1].both, left.lower[1].both};
    const unsigned b[2] = {right.pairs[0].both, right.pairs[1].both};
#endif
    mma(sums.c, a, b);
}

// A from a matrix whose rows lie in memory as pairs, `stride` of them in a row; `from` is its first row and pair.
__device__ __forceinline__ Left left_of(const Pair* from, int stride) {
    Left left;
#pragma unroll
    for (int i = 0; i < CHUNKS; ++i) {
        left.upper[i] = from[lane_g() * stride + 4 * i + lane_t()];
        left.lower[i] = from[(lane_g() + 8) * stride + 4 * i + lane_t()];
    }
    return left;
}

// A from sums of a product before: 16 rows, DEPTH columns.
__device__ __forceinline__ Left left_of(const Sums* sums) {
    Left left;
#pragma unroll
    for (int i = 0; i < CHUNKS; ++i) {
        left.upper[i] = pair(sums[i].c[0], sums[i].c[1]);
        left.lower[i] = pair(sums[i].c[2], sums[i].c[3]);
    }
    return left;
}

// B from a matrix that lies in memory as pairs along k: the pair k / 2 of column n at k / 2 * along_k + n * along_n.
__device__ __forceinline__ Right right_of(const Pair* from, int along_k, int along_n) {
    Right right;
#pragma unroll
    for (int i = 0; i < CHUNKS; ++i) right.pairs[i] = from[(4 * i + lane_t()) * along_k + lane_g() * along_n];
    return right;
}
