// Index types of CUDA and what the runtime offers to kernels.
#pragma once
#include <cstdint>

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

#pragma GCC visibility push(default)
extern "C" {
// Registers on a GPU: by value, so that reading them is no memory access; constant for a thread.
uint3 ctkh_thread_index() __attribute__((const));
uint3 ctkh_block_index() __attribute__((const));
uint3 ctkh_block_dim() __attribute__((const));
uint3 ctkh_grid_dim() __attribute__((const));
unsigned ctkh_lane() __attribute__((const));
unsigned ctkh_planted() __attribute__((const));  // number of the planted bug that is live, 0 for none
void ctkh_block_barrier(int line);
int ctkh_block_vote(int kind, int predicate, int line);  // 0 count, 1 and, 2 or
void ctkh_warp_barrier(unsigned mask, int op, int line);
uint64_t ctkh_warp_exchange(unsigned mask, uint64_t value, int source, int op, int line);
unsigned ctkh_warp_gather(unsigned mask, uint64_t value, int match, int op, int line);
void ctkh_fence(int scope);  // 0 block, 1 device
[[noreturn]] void ctkh_trap(const char* what, int line);
}
#pragma GCC visibility pop
