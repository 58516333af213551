// tanh RNN, LSTM and GRU over a whole sequence.
//
// For T steps of B sequences, D inputs, H hidden units and G gates: operations 2 T B G H (D + H) forward and twice that
// backward. Bytes: the gates of all steps, T B G H numbers, are written forward and read backward. But neither decides:
// the T steps depend on each other, so the time of one step does. The product with the input is one large matrix product
// for all steps before the loop, and so are the gradients of the weights after it (both by the host). Two ways for the loop:
//
//   step         one launch for each step: the product with the state and the gates that need it, for all sizes. A block
//                of 512 threads serves 32 sequences and 16 hidden units with all their gates, so no other block's sums are
//                missing when it comes to the gates. Operations of a step 2 B G H^2; bytes, from the level-2 cache once
//                W_hh has come there, G H^2 ceil(B / 32) + B H ceil(H / 16) numbers. For H 512 and B 128 the LSTM has 128
//                blocks, 268 million operations and 24 MB a step. Backward: each launch does the product of the step
//                after it and its own gates.
//   persistent   one launch for all steps. A block serves SEQ sequences and has G H threads, one for each row of W_hh;
//                it keeps all of W_hh on the chip: each thread KEPT of its H weights in registers, the rest in shared
//                memory. The state lies in shared memory, and each number loaded serves a whole warp. Two barriers a
//                step instead of a launch. No block waits for another.
//
// Constants of the persistent kernels: GATES, 4 for the LSTM and 3 for the GRU; H, a multiple of 32 (so the threads of a
// warp belong to one gate); SEQ, at most GATES; KEPT, a multiple of 4. Without them the step kernels are compiled.
// Source: Hochreiter and Schmidhuber 1997; Cho and others 2014 in cuDNN's form; Diamos and others 2016, "Persistent RNNs".
// Appleyard and others 2016, "Optimizing Performance of Recurrent Neural Networks on GPUs".
//
// Buffers are time-major: gates (T, B, G H), states (T + 1, B, H) with the first one before the first step; `active`
// (T, B) is false where the state is only carried over.
#include "common.cuh"

struct alignas(4 * sizeof(real)) Four { real x, y, z, w; };   // loaded at once

// ---- the cells: what one hidden unit of one sequence does in one step ----

struct LstmForward { real c, h; };
__device__ __forceinline__ LstmForward lstm_unit(real i, real f, real g, real o, real c) {
    c = f * c + i * g;
    return {c, o * tanh(c)};
}

struct LstmBackward { real i, f, g, o, dc; };
// `total` is the whole gradient of h, `dc` that of c as it comes from later steps.
__device__ __forceinline__ LstmBackward lstm_unit_backward(real total, real dc, real i, real f, real g, real o, real c_before,
                                                           real c) {
    const real t = tanh(c);
    dc += total * o * ((real)1 - t * t);
    return {dc * g * i * ((real)1 - i), dc * c_before * f * ((real)1 - f), dc * i * ((real)1 - g * g),
            total * t * o * ((real)1 - o), dc * f};
}

struct GruBackward { real r, z, n, u_n, dh; };
__device__ __forceinline__ GruBackward gru_unit_backward(real total, real r, real z, real n, real u_n, real h_before) {
    const real d = total * ((real)1 - z) * ((real)1 - n * n);
    return {d * u_n * r * ((real)1 - r), total * (h_before - n) * z * ((real)1 - z), d, d * r, total * z};
}

#ifndef GATES
// ---- step: one launch for each step ----

#include "step.cuh"

// Unit j of sequence b is this thread's; `n` counts steps and sequences, `u` is its place among the states of step t.
#define STEP_UNIT(G)                                                                                          \
    extern __shared__ real memory[];                                                                          \
    const int b = blockIdx.y * SEQUENCES + threadIdx.x / UNITS, j = blockIdx.x * UNITS + threadIdx.x % UNITS; \
    const bool unit = b < batch && j < hidden;                                                                \
    const long long n = (long long)t * batch + b, u = n * hidden + j, at = n * G * hidden + j;                \
    const long long all = (long long)batch * hidden;                                                          \
    const int here = b * hidden + j;

extern "C" __global__ void __launch_bounds__(STEP_THREADS)
rnn_step(real* gates, const real* w_hh_t, const real* bias, const bool* active, real* h, int batch, int hidden, int t) {
    STEP_UNIT(1)
    multiply<1>(h + t * all, w_hh_t, hidden, batch, hidden, memory);
    if (!unit) return;
    const real a = tanh(gates[at] + product<1>(memory, 0) + bias[j]);
    gates[at] = a;
    h[u + all] = active[n] ? a : h[u];
}

extern "C" __global__ void __launch_bounds__(STEP_THREADS)
lstm_step(real* gates, const real* w_hh_t, const real* bias, const bool* active, real* c, real* h, int batch, int hidden,
          int t) {
    STEP_UNIT(4)
    real v[4];
#pragma unroll
    for (int q = 0; q < 4; ++q) v[q] = unit ? gates[at + q * hidden] + bias[q * hidden + j] : (real)0;    // ahead of its use
    multiply<4>(h + t * all, w_hh_t, hidden, batch, hidden, memory);
    if (!unit) return;
#pragma unroll
    for (int q = 0; q < 4; ++q) {
        const real a = v[q] + product<4>(memory, q);
        gates[at + q * hidden] = v[q] = q == 2 ? tanh(a) : sigmoid(a);
    }
    const LstmForward next = lstm_unit(v[0], v[1], v[2], v[3], c[u]);
    c[u + all] = active[n] ? next.c : c[u];
    h[u + all] = active[n] ? next.h : h[u];
}

// u_n = h W_hn + b_hn is kept for the way back.
extern "C" __global__ void __launch_bounds__(STEP_THREADS)
gru_step(real* gates, const real* w_hh_t, const real* bias, const real* inner, const bool* active, real* u_n, real* h,
         int batch, int hidden, int t) {
    STEP_UNIT(3)
    multiply<3>(h + t * all, w_hh_t, hidden, batch, hidden, memory);
    if (!unit) return;
    const real r = sigmoid(gates[at] + product<3>(memory, 0) + bias[j]);
    const real z = sigmoid(gates[at + hidden] + product<3>(memory, 1) + bias[hidden + j]);
    const real p = product<3>(memory, 2) + inner[j];
    const real fresh = tanh(gates[at + 2 * hidden] + bias[2 * hidden + j] + r * p);
    gates[at] = r;
    gates[at + hidden] = z;
    gates[at + 2 * hidden] = fresh;
    u_n[u] = p;
    h[u + all] = active[n] ? fresh + z * (h[u] - fresh) : h[u];
}

// Backward, t = T - 1, ..., 0, -1. `slopes` (T, B, G H) are the gradients of the products with the state: those of step
// t + 1 times W_hh are what comes back to the state after step t, in addition to dh, which was carried past that step.
// After the last launch, that for t = -1, dh is the gradient of the first state.
#define FROM_LATER(G)                                                                                         \
    STEP_UNIT(G)                                                                                              \
    real total = unit ? dh[here] : (real)0;                                                                   \
    if (t + 1 < time) {                                                                                       \
        multiply<1>(slopes + (t + 1) * all * G, w_hh, G * hidden, batch, hidden, memory);                     \
        total += product<1>(memory, 0);                                                                       \
    }                                                                                                         \
    if (!unit) return;                                                                                        \
    const bool counts = t >= 0 && active[n];                                                                  \
    dh[here] = counts ? (real)0 : total;                                                                      \
    if (t < 0) return;

extern "C" __global__ void __launch_bounds__(STEP_THREADS)
rnn_step_backward(const real* gy, const real* gates, const real* w_hh, const bool* active, real* dh, real* slopes, int time,
                  int batch, int hidden, int t) {
    FROM_LATER(1)
    slopes[at] = counts ? (gy[u] + total) * ((real)1 - gates[at] * gates[at]) : (real)0;
}

extern "C" __global__ void __launch_bounds__(STEP_THREADS)
lstm_step_backward(const real* gy, const real* gates, const real* c, const real* w_hh, const bool* active, real* dh, real* dc,
                   real* slopes, int time, int batch, int hidden, int t) {
    FROM_LATER(4)
    LstmBackward d = {0, 0, 0, 0, dc[here]};
    if (counts)
        d = lstm_unit_backward(gy[u] + total, d.dc, gates[at], gates[at + hidden], gates[at + 2 * hidden],
                               gates[at + 3 * hidden], c[u], c[u + all]);
    slopes[at] = d.i;
    slopes[at + hidden] = d.f;
    slopes[at + 2 * hidden] = d.g;
    slopes[at + 3 * hidden] = d.o;
    dc[here] = d.dc;
}

// da is the gradient of x W_ih^T + b, `slopes` that of h W_hh^T: they differ in the part n, by the factor r.
extern "C" __global__ void __launch_bounds__(STEP_THREADS)
gru_step_backward(const real* gy, const real* gates, const real* u_n, const real* h, const real* w_hh, const bool* active,
                  real* dh, real* da, real* slopes, int time, int batch, int hidden, int t) {
    FROM_LATER(3)
    GruBackward d = {0, 0, 0, 0, 0};
    if (counts) {
        d = gru_unit_backward(gy[u] + total, gates[at], gates[at + hidden], gates[at + 2 * hidden], u_n[u], h[u]);
        dh[here] = d.dh;
    }
    da[at] = slopes[at] = d.r;
    da[at + hidden] = slopes[at + hidden] = d.z;
    da[at + 2 * hidden] = d.n;
    slopes[at + 2 * hidden] = d.u_n;
}

#else
// ---- persistent: one launch for all steps ----

// The H weights of a thread: KEPT in registers, the others in shared memory, one line for each thread of the block.
// `step` is the distance of its weights in w: 1 along a row of W_hh, H along a column.
__device__ __forceinline__ void take_weights(const real* w, int step, real (&kept)[KEPT], real* rest) {
#pragma unroll
    for (int k = 0; k < KEPT; ++k) kept[k] = w[(long long)k * step];
    for (int k = KEPT; k < H; ++k) rest[(k - KEPT) * blockDim.x + threadIdx.x] = w[(long long)k * step];
}

// sums[s] = sum_k weight_k v[s][k] for the SEQ vectors that begin at v, `distance` apart.
__device__ __forceinline__ void weigh(const real (&kept)[KEPT], const real* rest, const real* v, int distance, real (&sums)[SEQ]) {
#pragma unroll
    for (int s = 0; s < SEQ; ++s) sums[s] = 0;
#pragma unroll
    for (int k = 0; k < KEPT; k += 4)
#pragma unroll
        for (int s = 0; s < SEQ; ++s) {
            const Four f = *reinterpret_cast<const Four*>(v + s * distance + k);
            sums[s] += kept[k] * f.x + kept[k + 1] * f.y + kept[k + 2] * f.z + kept[k + 3] * f.w;
        }
#pragma unroll 2
    for (int k = KEPT; k < H; k += 4) {
        real w[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) w[i] = rest[(k - KEPT + i) * blockDim.x + threadIdx.x];
#pragma unroll
        for (int s = 0; s < SEQ; ++s) {
            const Four f = *reinterpret_cast<const Four*>(v + s * distance + k);
            sums[s] += w[0] * f.x + w[1] * f.y + w[2] * f.z + w[3] * f.w;
        }
    }
}

// Two jobs for each thread: row (or column) `gate`, `k` of W_hh for the product; and, for the first SEQ H threads, hidden
// unit `k` of sequence `mine` for the cell. A job without a sequence (`b` past the end) computes nothing.
#define JOBS                                                                       \
    extern __shared__ real memory[];                                               \
    const int row = threadIdx.x, gate = row / H, k = row % H;                      \
    const int mine = gate, first = blockIdx.x * SEQ, b = first + mine;             \
    const bool unit = mine < SEQ && b < batch;

// The forward kernels fetch what a step needs from global memory before its product, which hides the way from there.
#define LOAD_AHEAD(G)                                                                            \
    real* from_input = gates + ((long long)t * batch + first) * G * H + row;                     \
    const bool counts = unit && active[(long long)t * batch + b];                                \
    _Pragma("unroll") for (int s = 0; s < SEQ; ++s)                                              \
        if (first + s < batch) ahead[s] = from_input[(long long)s * G * H];

// What the backward kernels keep in shared memory beside the weights, all 0 at first, also for sequences past the end.
#define BACKWARD_JOBS                                                                                             \
    JOBS                                                                                                          \
    real* slopes = memory;                       /* (SEQ, GATES H): gradients of this step's product, by gate */  \
    real* through = slopes + SEQ * GATES * H;    /* (GATES, SEQ, H): each gate's share of the gradient of h */    \
    real* rest = through + GATES * SEQ * H;      /* (H - KEPT, GATES H) */                                        \
    real kept[KEPT];                                                                                              \
    take_weights(w_hh + gate * H * H + k, H, kept, rest);                                                         \
    for (int s = 0; s < SEQ; ++s) through[(gate * SEQ + s) * H + k] = 0;                                          \
    if (mine < SEQ)                                                                                               \
        for (int q = 0; q < GATES; ++q) slopes[(mine * GATES + q) * H + k] = 0;                                   \
    __syncthreads();

// From `slopes` to `through`, by the weights of each gate.
__device__ __forceinline__ void send_back(const real (&kept)[KEPT], const real* rest, const real* slopes, real* through) {
    const int gate = threadIdx.x / H, k = threadIdx.x % H;
    real sums[SEQ];
    weigh(kept, rest, slopes + gate * H, GATES * H, sums);
#pragma unroll
    for (int s = 0; s < SEQ; ++s) through[(gate * SEQ + s) * H + k] = sums[s];
    __syncthreads();
}

// The gradient of h that came through the product: the sum of the gates' shares.
__device__ __forceinline__ real from_gates(const real* through, int mine, int k) {
    real sum = 0;
    for (int q = 0; q < GATES; ++q) sum += through[(q * SEQ + mine) * H + k];
    return sum;
}

#if GATES == 4
extern "C" __global__ void __launch_bounds__(4 * H, 1)
lstm_persistent(real* gates, const real* w_hh_t, const real* bias, const bool* active, real* c, real* h, int time, int batch) {
    JOBS
    real* state = memory;                       // (SEQ, H)
    real* values = state + SEQ * H;             // (SEQ, 4 H): the activated gates
    real* rest = values + SEQ * 4 * H;          // (H - KEPT, 4 H)
    real kept[KEPT], sums[SEQ], ahead[SEQ];
    take_weights(w_hh_t + row, 4 * H, kept, rest);
    const real my_bias = bias[row];
    real my_c = unit ? c[b * H + k] : (real)0, my_h = unit ? h[b * H + k] : (real)0;
    if (mine < SEQ) state[mine * H + k] = my_h;
    __syncthreads();
    for (int t = 0; t < time; ++t) {
        LOAD_AHEAD(4)
        weigh(kept, rest, state, H, sums);
#pragma unroll
        for (int s = 0; s < SEQ; ++s) {
            if (first + s >= batch) continue;
            const real x = ahead[s] + sums[s] + my_bias;
            values[s * 4 * H + row] = from_input[(long long)s * 4 * H] = gate == 2 ? tanh(x) : sigmoid(x);
        }
        __syncthreads();
        if (unit) {
            const real* v = values + mine * 4 * H + k;
            const LstmForward next = lstm_unit(v[0], v[H], v[2 * H], v[3 * H], my_c);
            if (counts) {
                my_c = next.c;
                my_h = next.h;
            }
            const long long at = ((long long)(t + 1) * batch + b) * H + k;
            c[at] = my_c;
            h[at] = my_h;
            state[mine * H + k] = my_h;
        }
        __syncthreads();
    }
}

// What one unit's step backward needs from global memory.
struct LstmStep { real gy, i, f, g, o, c_before, c; bool counts; };
__device__ __forceinline__ LstmStep lstm_step(const real* gy, const real* gates, const real* c, const bool* active, int t,
                                              int batch, int b, int k) {
    const long long n = (long long)t * batch + b, at = n * H + k;
    const real* v = gates + n * 4 * H + k;
    return {gy[at], v[0], v[H], v[2 * H], v[3 * H], c[at], c[at + (long long)batch * H], active[n]};
}

// dh and dc come in as the gradients of the last states and leave as those of the first ones.
extern "C" __global__ void __launch_bounds__(4 * H, 1)
lstm_persistent_backward(const real* gy, const real* gates, const real* c, const real* w_hh, const bool* active, real* dh,
                         real* dc, real* da, int time, int batch) {
    BACKWARD_JOBS
    real my_dc = unit ? dc[b * H + k] : (real)0, my_dh = unit ? dh[b * H + k] : (real)0;
    LstmStep now = {}, before = {};
    if (unit && time > 0) now = lstm_step(gy, gates, c, active, time - 1, batch, b, k);
    for (int t = time; t-- > 0;) {
        if (unit) {
            my_dh += from_gates(through, mine, k);
            const long long n = (long long)t * batch + b;
            LstmBackward d = {0, 0, 0, 0, my_dc};
            if (now.counts) {
                d = lstm_unit_backward(now.gy + my_dh, my_dc, now.i, now.f, now.g, now.o, now.c_before, now.c);
                my_dh = 0;
            }
            my_dc = d.dc;
            const real four[4] = {d.i, d.f, d.g, d.o};
#pragma unroll
            for (int q = 0; q < 4; ++q) slopes[(mine * 4 + q) * H + k] = da[(n * 4 + q) * H + k] = four[q];
        }
        __syncthreads();
        if (unit && t > 0) before = lstm_step(gy, gates, c, active, t - 1, batch, b, k);   // on its way during the product
        send_back(kept, rest, slopes, through);
        now = before;
    }
    if (!unit) return;
    dh[b * H + k] = my_dh + from_gates(through, mine, k);
    dc[b * H + k] = my_dc;
}

#else
extern "C" __global__ void __launch_bounds__(3 * H, 1)
gru_persistent(real* gates, const real* w_hh_t, const real* bias, const real* inner, const bool* active, real* u_n, real* h,
               int time, int batch) {
    JOBS
    real* state = memory;                       // (SEQ, H)
    real* values = state + SEQ * H;             // (SEQ, 3 H): r and z, and the part of n that comes from the state
    real* rest = values + SEQ * 3 * H;          // (H - KEPT, 3 H)
    real kept[KEPT], sums[SEQ], ahead[SEQ];
    take_weights(w_hh_t + row, 3 * H, kept, rest);
    const real my_bias = gate == 2 ? inner[k] : bias[row], n_bias = bias[2 * H + k];
    real my_h = unit ? h[b * H + k] : (real)0;
    if (mine < SEQ) state[mine * H + k] = my_h;
    __syncthreads();
    for (int t = 0; t < time; ++t) {
        LOAD_AHEAD(3)
        weigh(kept, rest, state, H, sums);
#pragma unroll
        for (int s = 0; s < SEQ; ++s) {
            if (first + s >= batch) continue;
            real x = sums[s] + my_bias;
            if (gate < 2) x = from_input[(long long)s * 3 * H] = sigmoid(x + ahead[s]);
            values[s * 3 * H + row] = x;
        }
        __syncthreads();
        if (unit) {
            const real* v = values + mine * 3 * H + k;
            const long long n = (long long)t * batch + b;
            real* a = gates + (n * 3 + 2) * H + k;
            const real fresh = tanh(*a + n_bias + v[0] * v[2 * H]);
            *a = fresh;
            u_n[n * H + k] = v[2 * H];
            if (counts) my_h = fresh + v[H] * (my_h - fresh);
            h[(n + batch) * H + k] = my_h;
            state[mine * H + k] = my_h;
        }
        __syncthreads();
    }
}

struct GruStep { real gy, r, z, n, u_n, h_before; bool counts; };
__device__ __forceinline__ GruStep gru_step(const real* gy, const real* gates, const real* u_n, const real* h,
                                            const bool* active, int t, int batch, int b, int k) {
    const long long n = (long long)t * batch + b, at = n * H + k;
    const real* v = gates + n * 3 * H + k;
    return {gy[at], v[0], v[H], v[2 * H], u_n[at], h[at], active[n]};
}

extern "C" __global__ void __launch_bounds__(3 * H, 1)
gru_persistent_backward(const real* gy, const real* gates, const real* u_n, const real* h, const real* w_hh, const bool* active,
                        real* dh, real* da, real* du, int time, int batch) {
    BACKWARD_JOBS
    real my_dh = unit ? dh[b * H + k] : (real)0;
    GruStep now = {}, before = {};
    if (unit && time > 0) now = gru_step(gy, gates, u_n, h, active, time - 1, batch, b, k);
    for (int t = time; t-- > 0;) {
        if (unit) {
            my_dh += from_gates(through, mine, k);
            const long long n = (long long)t * batch + b;
            GruBackward d = {0, 0, 0, 0, my_dh};
            if (now.counts) d = gru_unit_backward(now.gy + my_dh, now.r, now.z, now.n, now.u_n, now.h_before);
            my_dh = d.dh;
            const real three[3] = {d.r, d.z, d.u_n};
#pragma unroll
            for (int q = 0; q < 3; ++q) {
                slopes[(mine * 3 + q) * H + k] = du[(n * 3 + q) * H + k] = three[q];
                da[(n * 3 + q) * H + k] = q == 2 ? d.n : three[q];
            }
        }
        __syncthreads();
        if (unit && t > 0) before = gru_step(gy, gates, u_n, h, active, t - 1, batch, b, k);
        send_back(kept, rest, slopes, through);
        now = before;
    }
    if (unit) dh[b * H + k] = my_dh + from_gates(through, mine, k);
}
#endif
#endif
