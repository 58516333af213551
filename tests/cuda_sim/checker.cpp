// Watches every load and store of a kernel. The compiler is asked for the hooks of its thread sanitizer (-fsanitize=
// thread,alignment,bounds), and the hooks below stand in for its library: they know blocks, barriers and warps.
//
// For each 4 bytes of global and shared memory a cell remembers the last write and up to two reads. Two accesses are
// in order if one thread made both, if a __syncthreads of their block lies between them, or a __syncwarp of their warp.
// Two that are not in order, one of them a write, are a race, whatever the schedule made of it this time.
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

#include <algorithm>
#include <vector>

#include "internal.h"

extern char __start_cudasim_shared[] __attribute__((weak)), __stop_cudasim_shared[] __attribute__((weak));

namespace {
struct Access { Position by; const void* caller; };   // caller == nullptr: none
struct Cell {
    Access write{}, read{}, other_read{};             // the two reads are of different warps where there were such
    Access foreign_read{};                            // the last read by a block before this one
    bool atomic = false;                              // the last write was atomic
};
struct Region {
    const char *begin, *end;
    const char* kind;
    bool shared;
    std::vector<Cell> cells;
};
struct Range { size_t offset, size; };

bool watching;
std::vector<Region> regions;
std::vector<Range> shared_arrays;
const char *image_begin, *image_end;

std::string place(const void* caller) {   // an address in this library, which Python turns into file and line
    Dl_info info;
    char text[64];
    bool known = dladdr(caller, &info);
    snprintf(text, sizeof text, "@0x%zx", known ? (size_t)((const char*)caller - (const char*)info.dli_fbase) - 1 : (size_t)caller);
    return text;
}

bool in_order(const Position& before, const Position& now) {
    if (before.block != now.block) return false;   // blocks of one launch are never in order
    if (before.thread == now.thread || before.epoch != now.epoch) return true;
    return before.thread / 32 == now.thread / 32 && before.warp_epoch != now.warp_epoch;
}

std::string me(const Position& p) { return name_of(p.block, p.thread); }

void require_order(const Access& before, const Region& r, const char* at, const char* what, const Position& now, const void* caller) {
    if (before.caller == nullptr || in_order(before.by, now)) return;
    stop(std::string("race on ") + r.kind + " memory, byte " + std::to_string(at - r.begin) + ": " + what + " by " + me(now) +
         " at " + place(caller) + ", not in order with " + me(before.by) + " at " + place(before.caller));
}

void remember_read(Cell& c, const Position& now, const void* caller) {
    if (c.read.caller && c.read.by.block != now.block) {
        c.foreign_read = c.read;
        c.read = c.other_read = Access{};
    }
    bool replaces = c.read.caller == nullptr || in_order(c.read.by, now);
    bool two_warps = c.other_read.caller && c.read.by.thread / 32 != c.other_read.by.thread / 32 &&
                     !in_order(c.other_read.by, now);
    if (replaces) c.read = {now, caller};
    else if (!two_warps) c.other_read = {now, caller};
}

void check_cell(Cell& c, const Region& r, const char* at, bool write, bool atomic, const Position& now, const void* caller) {
    if (!(atomic && c.atomic)) require_order(c.write, r, at, write ? "write" : "read", now, caller);
    if (!write) return remember_read(c, now, caller);
    for (const Access* read : {&c.read, &c.other_read, &c.foreign_read}) require_order(*read, r, at, "write", now, caller);
    c.write = {now, caller};
    c.atomic = atomic;
}

Region* region_of(const char* a, size_t size) {
    for (Region& r : regions)
        if (a >= r.begin && a + size <= r.end) return &r;
    return nullptr;
}

std::string nearest(const char* a) {
    for (Region& r : regions)
        if (a >= r.begin - 4096 && a < r.end + 4096)
            return ", byte " + std::to_string(a - r.begin) + " of an array of " + std::to_string(r.end - r.begin) + " bytes in " + r.kind + " memory";
    return "";
}

void access(const void* address, size_t size, bool write, bool atomic, const void* caller) {
    if (!watching || !in_kernel()) return;
    const char* a = static_cast<const char*>(address);
    if (on_own_stack(a, size)) return;
    Position now = position();
    Region* r = region_of(a, size);
    if (r == nullptr) {
        bool constant = a >= image_begin && a < image_end && !(a >= __start_cudasim_shared && a < __stop_cudasim_shared);
        if (constant) return;
        stop(std::string("out of bounds: ") + (write ? "write" : "read") + " of " + std::to_string(size) + " bytes by " + me(now) +
             " at " + place(caller) + nearest(a));
    }
    if (size <= 16 && (uintptr_t)a % size) stop("misaligned access of " + std::to_string(size) + " bytes by " + me(now) + " at " + place(caller));
    size_t last = (a + size - 1 - r->begin) / 4;
    for (size_t i = (a - r->begin) / 4; i <= last; ++i) check_cell(r->cells[i], *r, a, write, atomic, now, caller);
}

void add_region(const char* begin, size_t size, const char* kind, bool shared) {
    regions.push_back({begin, begin + size, kind, shared, std::vector<Cell>((size + 3) / 4)});
}

int find_image(dl_phdr_info* info, size_t, void*) {
    const char *low = (const char*)-1, *high = nullptr;
    for (int k = 0; k < info->dlpi_phnum; ++k) {
        if (info->dlpi_phdr[k].p_type != PT_LOAD) continue;
        const char* begin = (const char*)info->dlpi_addr + info->dlpi_phdr[k].p_vaddr;
        low = std::min(low, begin);
        high = std::max(high, begin + info->dlpi_phdr[k].p_memsz);
    }
    const char* here = (const char*)&cudasim_here;
    if (here < low || here >= high) return 0;
    image_begin = low;
    image_end = high;
    return 1;
}
}  // namespace

char* shared_begin() { return __start_cudasim_shared; }
size_t shared_size() { return __stop_cudasim_shared - __start_cudasim_shared; }

void check_begin_launch(char* dynamic, size_t size) {
    if (!watching) return;
    for (Range& s : shared_arrays) add_region(__start_cudasim_shared + s.offset, s.size, "shared", true);
    if (size) add_region(dynamic, size, "dynamic shared", true);
}
void check_begin_block() {
    for (Region& r : regions)
        if (r.shared) std::fill(r.cells.begin(), r.cells.end(), Cell());
}
void check_end_launch() { regions.clear(); }

extern "C" {
#define VISIBLE __attribute__((visibility("default")))
VISIBLE void cudasim_watch(int on) {
    watching = on;
    if (!image_begin) dl_iterate_phdr(find_image, nullptr);
}
VISIBLE void cudasim_global_array(const void* begin, size_t size) { add_region((const char*)begin, size, "global", false); }
VISIBLE void cudasim_shared_array(size_t offset, size_t size) { shared_arrays.push_back({offset, size}); }

void cudasim_atomic(void* address, size_t size, const void* caller) { access(address, size, true, true, caller); }

#define CALLER __builtin_return_address(0)
#define HOOKS(n)                                                                  \
    void __tsan_read##n(void* p) { access(p, n, false, false, CALLER); }          \
    void __tsan_write##n(void* p) { access(p, n, true, false, CALLER); }          \
    void __tsan_unaligned_read##n(void* p) { access(p, n, false, false, CALLER); } \
    void __tsan_unaligned_write##n(void* p) { access(p, n, true, false, CALLER); }
HOOKS(1) HOOKS(2) HOOKS(4) HOOKS(8) HOOKS(16)
void __tsan_read_range(void* p, size_t n) { access(p, n, false, false, CALLER); }
void __tsan_write_range(void* p, size_t n) { access(p, n, true, false, CALLER); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

struct Source { const char* file; uint32_t line, column; };   // every record of the undefined-behaviour hooks begins so
static std::string at(const Source* s) {
    std::string file = s->file;
    return " at " + file.substr(file.find_last_of('/') + 1) + ":" + std::to_string(s->line) + " by " + me(position());
}
void __ubsan_handle_type_mismatch_v1(Source* s, uintptr_t p) {
    if (in_kernel()) stop((p < 4096 ? "null pointer" : "misaligned address") + at(s));
}
void __ubsan_handle_out_of_bounds(Source* s, uintptr_t index) {
    if (in_kernel()) stop("array index " + std::to_string((int)index) + " out of bounds" + at(s));
}
}
