// Runs a kernel on one CPU core: blocks one after another, each CUDA thread as a fiber that gives way only where it has
// to wait (barriers and warp operations). The seed decides who goes first, so a schedule can be repeated.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "internal.h"

CudasimPlace cudasim_here;

namespace {
constexpr size_t STACK = 128 * 1024;
enum State : uint8_t { FRESH, READY, AT_BARRIER, IN_WARP_OPERATION, DONE };

struct Fiber {
    ucontext_t start;
    jmp_buf at;
    bool started = false;
    std::unique_ptr<char[]> stack;
};
struct WarpCall { int op, argument, width; unsigned mask; uint64_t value; };
struct Thread {
    State state = FRESH;
    Fiber* fiber = nullptr;
    uint3 index{};
    int line = 0;           // of the barrier or warp operation where it waits
    int vote = 0;
    WarpCall call{};
    uint64_t result = 0;
    uint32_t warp_epoch = 0;
};

std::vector<Thread> threads;
std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Fiber*> idle;
std::deque<int> queue;
Fiber main_fiber;
int current = -1, alive, waiting;
uint32_t block_number, epoch;
size_t dynamic_size;
uint64_t seed, random_state;
std::string error;
void (*kernel)(void*);
void* kernel_context;

uint64_t random_number() {   // xorshift64 (Marsaglia, 2003)
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

// Seed 0: ascending; seed 1: descending; otherwise: shuffled.
template <class T> void arrange(std::vector<T>& items) {
    std::sort(items.begin(), items.end());
    if (seed == 1) std::reverse(items.begin(), items.end());
    if (seed > 1)
        for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random_number() % i]);
}

void make_ready(std::vector<int>& who) {
    arrange(who);
    for (int i : who) threads[i].state = READY;
    queue.insert(queue.end(), who.begin(), who.end());
}

// ---- fibers: ucontext makes a stack, and the cheaper setjmp and longjmp change between stacks ----
void switch_to(Fiber& from, Fiber& to) {
    if (_setjmp(from.at)) return;
    if (to.started) _longjmp(to.at, 1);
    to.started = true;
    setcontext(&to.start);
}

void fiber_main();

Fiber* idle_fiber() {
    if (idle.empty()) {
        fibers.push_back(std::make_unique<Fiber>());
        Fiber& f = *fibers.back();
        f.stack.reset(new char[STACK]);
        getcontext(&f.start);
        f.start.uc_stack.ss_sp = f.stack.get();
        f.start.uc_stack.ss_size = STACK;
        f.start.uc_link = nullptr;
        makecontext(&f.start, fiber_main, 0);
        idle.push_back(&f);
    }
    Fiber* f = idle.back();
    idle.pop_back();
    return f;
}

void take_turn(int i) {
    current = i;
    cudasim_here.thread = threads[i].index;
}

// The fiber whose turn it is; the main one when nobody can go on.
Fiber* next_fiber() {
    if (queue.empty()) return &main_fiber;
    int i = queue.front();
    queue.pop_front();
    if (threads[i].fiber == nullptr) threads[i].fiber = idle_fiber();
    take_turn(i);
    return threads[i].fiber;
}

void wait_for_turn() {
    Fiber* mine = threads[current].fiber;
    Fiber* next = next_fiber();
    if (next != mine) switch_to(*mine, *next);
}

void release_barrier() {
    std::vector<int> who;
    int votes = 0;
    for (int i = 0; i < (int)threads.size(); ++i)
        if (threads[i].state == AT_BARRIER) { who.push_back(i); votes += threads[i].vote; }
    for (int i : who) threads[i].result = votes;
    waiting = 0;
    ++epoch;
    make_ready(who);
}

std::string lane_name(int i) { return name_of(block_number, i); }

void finish_thread() {
    threads[current].state = DONE;
    --alive;
    int first = current / 32 * 32;
    for (int i = first; i < (int)threads.size() && i < first + 32; ++i)
        if (threads[i].state == IN_WARP_OPERATION && (threads[i].call.mask >> (current % 32) & 1))
            stop(lane_name(i) + " waits in a warp operation at line " + std::to_string(threads[i].line) + " for lane " +
                 std::to_string(current % 32) + ", which has returned");
    if (alive && waiting == alive)
        stop("barrier divergence: " + lane_name(current) + " has returned, others wait in __syncthreads()");
}

void fiber_main() {
    for (;;) {
        Fiber* mine = threads[current].fiber;
        kernel(kernel_context);
        finish_thread();
        if (!queue.empty() && threads[queue.front()].fiber == nullptr) {   // a thread that has not begun: no switch
            threads[queue.front()].fiber = mine;
            take_turn(queue.front());
            queue.pop_front();
            continue;
        }
        Fiber* next = next_fiber();
        idle.push_back(mine);
        switch_to(*mine, *next);
    }
}

// ---- warp operations ----
int source_lane(const WarpCall& c, int lane) {
    int base = lane / c.width * c.width, end = base + c.width;
    switch (c.op) {
        case CUDASIM_INDEX: return base + (c.argument & (c.width - 1));
        case CUDASIM_UP: return lane - c.argument < base ? lane : lane - c.argument;
        case CUDASIM_DOWN: return lane + c.argument >= end ? lane : lane + c.argument;
        case CUDASIM_XOR: return (lane ^ c.argument) >= end ? lane : lane ^ c.argument;
        default: return lane;
    }
}

void finish_product(int first) {
    Fragments* lanes[32];
    for (int l = 0; l < 32; ++l) lanes[l] = reinterpret_cast<Fragments*>(threads[first + l].call.value);
    multiply(threads[first].call.argument, lanes);
}

void finish_warp_operation(int first, const std::vector<int>& lanes) {
    uint64_t ballot = 0;
    for (int l : lanes) ballot |= (uint64_t)(threads[first + l].call.value != 0) << l;
    if (threads[first].call.op == CUDASIM_MMA) finish_product(first);
    std::vector<int> who;
    for (int l : lanes) {
        Thread& t = threads[first + l];
        int from = source_lane(t.call, l);
        bool known = std::find(lanes.begin(), lanes.end(), from) != lanes.end();
        // A lane outside the mask gives an undefined value: all bits 1, which is NaN.
        t.result = t.call.op == CUDASIM_BALLOT ? ballot : known ? threads[first + from].call.value : ~0ull;
        t.warp_epoch += t.call.op == CUDASIM_SYNC;   // shuffles and votes do not order memory
        who.push_back(first + l);
    }
    make_ready(who);
}

std::string deadlock() {
    std::string text = "deadlock:";
    int shown = 0;
    for (int i = 0; i < (int)threads.size() && shown < 3; ++i)
        if (threads[i].state == AT_BARRIER || threads[i].state == IN_WARP_OPERATION) {
            text += (shown++ ? "; " : " ") + lane_name(i) + " waits at line " + std::to_string(threads[i].line);
        }
    return text;
}

void run_block() {
    epoch = 0; waiting = 0; alive = (int)threads.size();
    queue.clear();
    memset(cudasim_here.dynamic, 0xff, dynamic_size);   // all bits 1 is NaN
    memset(shared_begin(), 0xff, shared_size());
    check_begin_block();
    std::vector<int> who;
    dim3 b = cudasim_here.block_size;
    for (unsigned i = 0; i < threads.size(); ++i) {
        threads[i] = Thread();
        threads[i].index = {i % b.x, i / b.x % b.y, i / b.x / b.y};
        who.push_back(i);
    }
    arrange(who);
    queue.assign(who.begin(), who.end());
    switch_to(main_fiber, *next_fiber());
    if (error.empty() && alive) error = deadlock();
}

std::string refusal(dim3 grid, dim3 block, size_t shared, size_t limit, int most_threads) {
    size_t size = (size_t)block.x * block.y * block.z;
    size_t most = most_threads > 0 ? most_threads : 1024;
    if (size < 1 || size > most || block.z > 64)
        return "a block of " + std::to_string(size) + " threads; expected 1 to " + std::to_string(most);
    if (!grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535)
        return "expected a grid of 1 .. 2^31 - 1 by 1 .. 65535 by 1 .. 65535 blocks";
    if (shared > limit)
        return std::to_string(shared) + " bytes of shared memory; the limit is " + std::to_string(limit);
    return "";
}
}  // namespace

bool in_kernel() { return current >= 0; }
Position position() { return {block_number, (uint32_t)current, epoch, threads[current].warp_epoch}; }
bool on_own_stack(const char* a, size_t size) {
    char* low = threads[current].fiber->stack.get();
    return a >= low && a + size <= low + STACK;
}
std::string name_of(uint32_t block, uint32_t thread) {
    dim3 g = cudasim_here.grid_size, b = cudasim_here.block_size;
    char text[160];
    snprintf(text, sizeof text, "block (%u, %u, %u) thread (%u, %u, %u)", block % g.x, block / g.x % g.y,
             block / g.x / g.y, thread % b.x, thread / b.x % b.y, thread / b.x / b.y);
    return text;
}
void stop(const std::string& message) {
    if (error.empty()) error = message;
    Fiber* mine = threads[current].fiber;
    for (;;) switch_to(*mine, main_fiber);
}

extern "C" {
int cudasim_barrier(int vote, int line) {
    for (int i = 0; i < (int)threads.size() && waiting; ++i)
        if (threads[i].state == AT_BARRIER && threads[i].line != line)
            stop("barrier divergence: " + lane_name(current) + " is at the barrier of line " + std::to_string(line) + ", " +
                 lane_name(i) + " at that of line " + std::to_string(threads[i].line));
    if (alive < (int)threads.size())
        stop("barrier divergence: some threads have returned, " + lane_name(current) + " waits at line " + std::to_string(line));
    int me = current;
    threads[me].state = AT_BARRIER;
    threads[me].line = line;
    threads[me].vote = vote;
    if (++waiting == alive) release_barrier();
    wait_for_turn();
    return (int)threads[me].result;
}

uint64_t cudasim_warp(int op, unsigned mask, uint64_t value, int argument, int width, int line) {
    int me = current, first = me / 32 * 32, count = std::min(32, (int)threads.size() - first);
    if (count < 32) mask &= (1u << count) - 1;
    if (!(mask >> (me - first) & 1)) stop("the mask of the warp operation at line " + std::to_string(line) + " leaves out " + lane_name(me));
    threads[me].state = IN_WARP_OPERATION;
    threads[me].line = line;
    threads[me].call = {op, argument, width, mask, value};
    std::vector<int> lanes;
    bool complete = true;
    for (int l = 0; l < count; ++l) {
        if (!(mask >> l & 1)) continue;
        Thread& other = threads[first + l];
        if (other.state == DONE) stop("the warp operation at line " + std::to_string(line) + " waits for lane " + std::to_string(l) + ", which has returned");
        bool arrived = other.state == IN_WARP_OPERATION;
        if (arrived && (other.call.op != op || other.call.mask != mask || other.line != line))
            stop("warp divergence: " + lane_name(me) + " is at the warp operation of line " + std::to_string(line) + ", " +
                 lane_name(first + l) + " at that of line " + std::to_string(other.line));
        complete = complete && arrived;
        lanes.push_back(l);
    }
    if (complete) finish_warp_operation(first, lanes);
    wait_for_turn();
    return threads[me].result;
}

// A product needs all 32 lanes. Each waits with its fragments on its own stack; the last one to come computes for all.
void cudasim_mma(int format, float* c, const unsigned* a, const unsigned* b, int line) {
    if ((int)threads.size() - current / 32 * 32 < 32)
        stop("the product of matrices at line " + std::to_string(line) + " needs 32 lanes, the warp of " + lane_name(current) + " has fewer");
    Fragments mine{c, a, b};
    cudasim_warp(CUDASIM_MMA, 0xffffffffu, reinterpret_cast<uint64_t>(&mine), format, 32, line);
}

#define VISIBLE __attribute__((visibility("default")))
VISIBLE const char* cudasim_error() { return error.c_str(); }
VISIBLE void cudasim_seed(uint64_t s) { seed = s; random_state = s * 0x9E3779B97F4A7C15ull + 1; }

// shape: grid x y z, block x y z, bytes of dynamic shared memory, bytes allowed
int cudasim_launch(void (*call)(void*), void* context, const unsigned* shape, int most_threads) {
    kernel = call; kernel_context = context; main_fiber.started = true;
    dim3 grid{shape[0], shape[1], shape[2]}, block{shape[3], shape[4], shape[5]};
    dynamic_size = shape[6];
    error = refusal(grid, block, dynamic_size + shared_size(), shape[7], most_threads);
    if (!error.empty()) return 1;
    std::unique_ptr<char, void (*)(void*)> memory((char*)aligned_alloc(128, (dynamic_size + 255) / 128 * 128), free);
    cudasim_here = {{}, {}, block, grid, memory.get()};
    threads.assign((size_t)block.x * block.y * block.z, Thread());
    check_begin_launch(memory.get(), dynamic_size);
    std::vector<uint32_t> blocks((size_t)grid.x * grid.y * grid.z);
    for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = i;
    arrange(blocks);
    for (uint32_t b : blocks) {
        block_number = b;
        cudasim_here.block = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
        run_block();
        if (!error.empty()) break;
    }
    current = -1;
    check_end_launch();
    if (!error.empty()) { idle.clear(); fibers.clear(); }   // stacks that were left in the middle of a kernel
    return !error.empty();
}
}
