// What the scheduler and the checker of the emulator tell each other.
#pragma once
#include <string>

#include "cudasim.h"
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

struct Position {           // which thread, and between which barriers
    uint32_t block;         // number of the block in the grid
    uint32_t thread;        // number of the thread in the block
    uint32_t epoch;         // barriers that the block has passed
    uint32_t warp_epoch;    // __syncwarp()s that the warp has passed
};

bool in_kernel();
Position position();
bool on_own_stack(const char* address, size_t size);
std::string name_of(uint32_t block, uint32_t thread);
[[noreturn]] void stop(const std::string& message);   // ends the kernel with an error

void check_begin_launch(char* dynamic, size_t size);
void check_begin_block();
void check_end_launch();
char* shared_begin();
size_t shared_size();

struct Fragments {          // what one lane brings to a product of small matrices; c is also the result
    float* c;
    const unsigned *a, *b;
};
void multiply(int format, Fragments* const* lanes);   // those of all 32 lanes
