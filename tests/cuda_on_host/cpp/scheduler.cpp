// Runs a kernel launch: blocks one after the other, the threads of a block as fibers that switch at barriers, warp
// collectives and (if asked) at memory accesses.
// Always checked: threads of a block that wait at different barriers or are gone, deadlock, warp collectives whose
// mask names a lane that is gone or elsewhere, stack overflow.
#define CTKH_FIBERS_HERE
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "machine.hpp"

namespace ctk {
Machine machine;
static Machine& m = machine;
static void (*body)(void**);
static void** body_arguments;
static constexpr unsigned char CANARY[16] = {0xC7, 0x4B, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};

uint64_t random_number() {
    m.rng ^= m.rng << 13;
    m.rng ^= m.rng >> 7;
    m.rng ^= m.rng << 17;
    return m.rng;
}

static unsigned random_below(unsigned n) { return unsigned((random_number() >> 32) * n >> 32); }

void fault(const char* format, ...) {
    if (m.error[0]) return;
    va_list list;
    va_start(list, format);
    int n = std::vsnprintf(m.error, sizeof m.error - 128, format, list);
    va_end(list);
    n = std::min(n, int(sizeof m.error) - 129);
    const uint3 b = m.block_index, t = m.current ? m.current->tid : uint3{0, 0, 0};
    std::snprintf(m.error + n, 128, " (block %u,%u,%u, thread %u,%u,%u)", b.x, b.y, b.z, t.x, t.y, t.z);
}

void to_scheduler() { switch_context(m.current->context, m.scheduler); }

static void entry() {
    body(body_arguments);
    m.current->wait = Wait::DONE;
    m.live--;
    to_scheduler();
    std::abort();
}

static void run(Fiber& f) {
    m.current = &f;
    switch_context(m.scheduler, f.context);
    m.current = nullptr;
}

// Once a block is over: every stack has room below it, and its end is in nobody's cache.
static void check_stacks() {
    for (const Fiber& f : m.fibers)
        if (std::memcmp(f.stack, CANARY, sizeof CANARY)) fault("the stack of a thread overflowed its %zu bytes", STACK_BYTES);
}

// All threads wait at the barrier: it must be the same one, and nobody may have left.
static void release_barrier() {
    int line = 0;
    for (Fiber& f : m.fibers) {
        if (f.wait != Wait::BLOCK) continue;
        if (!line) line = f.line;
        if (line != f.line) fault("barrier divergence: threads of a block wait at lines %d and %d", line, f.line);
        f.wait = Wait::RUN;
    }
    if (m.live != m.threads)
        fault("barrier divergence: %u of %u threads wait at line %d, the others are gone", m.live, m.threads, line);
    m.at_barrier = 0;
    m.traffic.barriers++;
    if (++m.epoch == 0) fault("more than 65,535 barriers in a block");
}

static void report_deadlock() {
    int block = 0, warp = 0;
    for (Fiber& f : m.fibers) {
        if (f.wait == Wait::BLOCK) block = f.line;
        if (f.wait == Wait::WARP) warp = f.line;
    }
    fault("deadlock: threads wait at a barrier (line %d) and at a warp collective (line %d)", block, warp);
}

static void run_block(const std::vector<unsigned>& order) {
    begin_block_memory();
    m.epoch = 1;
    m.block++;
    m.live = m.threads;
    m.at_barrier = 0;
    m.released = false;
    m.traffic.blocks++;
    for (Warp& w : m.warps) w.arrived = 0;
    for (Fiber& f : m.fibers) {
        std::memcpy(f.stack, CANARY, sizeof CANARY);
        make_context(f.context, f.stack, (f.linear * 320) % SPREAD_BYTES / 64 * 64, entry);
        f.wait = Wait::RUN;
        f.accesses = 0;
        std::fill(f.clock, f.clock + 32, 0);
        f.clock[f.linear & 31] = 1;
    }
    std::vector<unsigned> ready;
    while (m.live && !m.error[0]) {
        ready.clear();
        for (unsigned i : order)
            if (m.fibers[i].wait == Wait::RUN) ready.push_back(i);
        if (m.options.seed > 1)
            for (unsigned i = unsigned(ready.size()); i-- > 1;) std::swap(ready[i], ready[random_below(i + 1)]);
        const bool progress = !ready.empty();
        for (unsigned i : ready) {
            run(m.fibers[i]);
            if (m.error[0]) return;  // the other fibers are given up where they are
        }
        if (m.live && m.at_barrier == m.live) release_barrier();
        else if (!progress) report_deadlock();
    }
    flush_traffic();
}
}  // namespace ctk

using namespace ctk;

extern "C" {
uint3 ctkh_thread_index() { return m.current->tid; }
uint3 ctkh_block_index() { return m.block_index; }
uint3 ctkh_block_dim() { return {m.block_dim.x, m.block_dim.y, m.block_dim.z}; }
uint3 ctkh_grid_dim() { return {m.grid_dim.x, m.grid_dim.y, m.grid_dim.z}; }
unsigned ctkh_lane() { return m.current->linear & 31; }
unsigned ctkh_planted() { return unsigned(m.options.planted); }

void ctkh_block_barrier(int line) {
    m.current->wait = Wait::BLOCK;
    m.current->line = line;
    m.at_barrier++;
    to_scheduler();
}

int ctkh_block_vote(int kind, int predicate, int line) {
    m.current->predicate = predicate != 0;
    ctkh_block_barrier(line);
    int count = 0;
    for (Fiber& f : m.fibers) count += f.predicate;
    ctkh_block_barrier(line);  // nobody overwrites a predicate that others still read
    return kind == 0 ? count : kind == 1 ? count == int(m.threads) : count != 0;
}

void ctkh_fence(int scope) {
    if (scope == 1) m.released = true;
}

void ctkh_trap(const char* what, int line) {
    fault("%s, line %d", what, line);
    to_scheduler();
    std::abort();
}

// Runs one launch; null or what went wrong. The caller holds a lock: one launch at a time in a process.
const char* ctkh_launch(Module* module, void (*function)(void**), void** arguments, const unsigned* grid,
                       const unsigned* block, unsigned dynamic_bytes, const Options* options) {
    m.module = module;
    m.options = *options;
    m.error[0] = 0;
    m.grid_dim = dim3(grid[0], grid[1], grid[2]);
    m.block_dim = dim3(block[0], block[1], block[2]);
    m.threads = block[0] * block[1] * block[2];
    m.rng = options->seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull;
    m.first_block = m.block + 1;
    m.traffic = Traffic{};
    m.module->dynamic.hi = m.module->dynamic.lo + dynamic_bytes;
    body = function;
    body_arguments = arguments;
    begin_races();
    begin_launch_traffic();
    m.fibers.resize(m.threads);
    m.warps.resize((m.threads + 31) / 32);
    std::vector<unsigned> order(m.threads);
    for (unsigned i = 0; i < m.threads; i++) {
        Fiber& f = m.fibers[i];
        f.linear = i;
        f.tid = {i % block[0], i / block[0] % block[1], i / (block[0] * block[1])};
        if (!(f.stack = stack_of(i))) return "no memory for the stacks of threads";
        order[i] = options->seed == 1 ? m.threads - 1 - i : i;
    }
    const uint64_t total = uint64_t(grid[0]) * grid[1] * grid[2];
    const uint64_t first = std::min(options->only_first, total);
    const uint64_t last = std::max(first, total - std::min(options->only_last, total));
    std::vector<uint64_t> blocks;
    for (uint64_t i = 0; i < first; i++) blocks.push_back(i);
    for (uint64_t i = last; i < total; i++) blocks.push_back(i);
    const uint64_t count = blocks.size();
    if (options->seed == 1) std::reverse(blocks.begin(), blocks.end());
    if (options->seed > 1)
        for (uint64_t i = count; i-- > 1;) std::swap(blocks[i], blocks[random_number() % (i + 1)]);
    for (uint64_t k : blocks) {
        m.block_index = {unsigned(k % grid[0]), unsigned(k / grid[0] % grid[1]), unsigned(k / grid[0] / grid[1])};
        run_block(order);
        check_stacks();
        if (m.error[0]) break;
    }
    m.current = nullptr;
    return m.error[0] ? m.error : nullptr;
}

const Traffic* ctkh_traffic() { return &m.traffic; }
}
