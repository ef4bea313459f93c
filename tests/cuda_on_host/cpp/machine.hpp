// What the parts of the runtime share: the running block, its threads, memory regions, the way to report a fault.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "builtins.hpp"
#include "fibers.hpp"

namespace ctk {

enum class Wait { RUN, BLOCK, WARP, DONE };
enum class Collective { BARRIER, EXCHANGE, BALLOT, MATCH };

struct Fiber {
    Context context;
    char* stack = nullptr;
    uint3 tid{};
    unsigned linear = 0;
    Wait wait = Wait::DONE;
    int line = 0, op = 0, predicate = 0;
    unsigned mask = 0;
    uint64_t value = 0, result = 0;  // of the warp collective
    int source = 0;
    uint64_t accesses = 0;
    uint16_t clock[32] = {};  // how far this thread knows each lane of its warp to be (a vector clock)
};

struct Warp { unsigned arrived; };

// Who touched a byte last; `block` 0: nobody yet.
struct Touch {
    uint32_t block = 0;
    uint16_t epoch = 0, clock = 0, thread = 0;
    bool atomic = false;
    uint32_t pc = 0;
};
struct Cell { Touch write, read1, read2; };

struct Region {
    uintptr_t lo = 0, hi = 0;
    Cell* cells = nullptr;
    bool shared = false;
    std::string name;
};

struct Options {  // same layout as in runtime.py
    uint32_t seed;       // 0 ascending threads and blocks, 1 descending, else shuffled
    uint32_t preempt;    // switch threads at one access in so many; 0 never
    uint32_t checks;     // 1: races, bounds and first use; 0: none
    uint32_t counters;   // 1: traffic
    uint64_t only_first, only_last;    // run so many blocks from the beginning and from the end
    uint64_t access_limit;            // of one thread, against endless loops
    uint64_t planted;                 // the planted bug that is live
};

struct Traffic {  // same layout as in runtime.py
    uint64_t read_requests, read_sectors, read_ideal, read_bytes;
    uint64_t write_requests, write_sectors, write_ideal, write_bytes;
    uint64_t shared_requests, shared_wavefronts, shared_ideal;
    uint64_t atomic_global, atomic_shared, blocks, barriers;
    uint64_t unique_read, unique_written;
};

struct Module {
    uintptr_t image_lo, image_hi;  // code and constants
    std::vector<Region> shared;    // one a static variable
    Region dynamic;                // of the launch's size
};

struct Machine {
    std::vector<Fiber> fibers;
    std::vector<Warp> warps;
    Fiber* current = nullptr;
    Context scheduler;
    Module* module = nullptr;
    Options options{};
    Traffic traffic{};
    unsigned threads = 0, live = 0, at_barrier = 0;
    uint32_t first_block = 2, block = 1;  // numbers never repeat, so that older launches count as ordered before; 1 is the host
    uint16_t epoch = 0;
    uint3 block_index{};
    dim3 block_dim, grid_dim;
    uint64_t rng = 1;
    char error[1024] = {};
    bool released = false;  // a fence since the block began
};

extern Machine machine;

uint64_t random_number();
void fault(const char* format, ...) __attribute__((format(printf, 1, 2)));  // remembers the first, gives up the launch
void to_scheduler();
Region* find_global(uintptr_t address);
void begin_block_memory();
void flush_traffic();
void begin_launch_traffic();
void note_race(const Region& region, uintptr_t address, const Touch& before, const Touch& now, bool write);
std::string races_text();
void begin_races();

}  // namespace ctk
