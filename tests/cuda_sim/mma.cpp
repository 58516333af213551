// The tensor-core products mma.sync.aligned.m16n8k8 with TF32 (format 1) and m16n8k16 with bfloat16 (format 2): C += A B.
//
// Written from the manual's formulas and not from the kernels' header, so that the two can disagree. PTX ISA, 9.7.14.5.7
// and 9.7.14.5.8, with group = lane / 4 and member = lane % 4. The manual leaves order and rounding of the sum open, "at
// least single precision"; here it is exact up to one rounding to float32, on a GPU it is a little less.
#include "internal.h"

namespace {
float from_bits(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }

// Element i of a lane's A or B: TF32 has one in a register and its 13 lower bits don't count, bfloat16 has two.
float element(int format, const unsigned* registers, int i) {
    if (format == 1) return from_bits(registers[i] & 0xffffe000u);
    return from_bits(i % 2 ? registers[i / 2] & 0xffff0000u : registers[i / 2] << 16);
}

struct Place { int row, column; };
Place place_in_a(int format, int lane, int i) {
    int group = lane >> 2, member = lane % 4;
    if (format == 1) return {i == 0 || i == 2 ? group : group + 8, i < 2 ? member : member + 4};
    return {(0 <= i && i < 2) || (4 <= i && i < 6) ? group : group + 8, member * 2 + (i & 1) + (i < 4 ? 0 : 8)};
}
Place place_in_b(int format, int lane, int i) {
    int group = lane >> 2, member = lane % 4;
    if (format == 1) return {i == 0 ? member : member + 4, group};
    return {member * 2 + (i & 1) + (i < 2 ? 0 : 8), group};
}
Place place_in_c(int lane, int i) { return {i < 2 ? lane >> 2 : (lane >> 2) + 8, (lane % 4) * 2 + (i & 1)}; }
}  // namespace

void multiply(int format, Fragments* const* lanes) {
    int depth = 8 * format;
    double a[16][16], b[16][8];
    for (int lane = 0; lane < 32; ++lane) {
        for (int i = 0; i < 16 * depth / 32; ++i) {
            Place p = place_in_a(format, lane, i);
            a[p.row][p.column] = element(format, lanes[lane]->a, i);
        }
        for (int i = 0; i < 8 * depth / 32; ++i) {
            Place p = place_in_b(format, lane, i);
            b[p.row][p.column] = element(format, lanes[lane]->b, i);
        }
    }
    for (int lane = 0; lane < 32; ++lane)
        for (int i = 0; i < 4; ++i) {
            Place p = place_in_c(lane, i);
            double sum = lanes[lane]->c[i];
            for (int k = 0; k < depth; ++k) sum += a[p.row][k] * b[k][p.column];
            lanes[lane]->c[i] = (float)sum;
        }
}
