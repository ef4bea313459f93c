// Every memory access of a kernel that was compiled with -fsanitize=thread arrives here instead of in libtsan.
// Checked: bounds (every address lies in one shared variable or one live allocation), first use (nothing is read that
// nobody wrote), races:
//   shared memory: same block, other thread, no barrier between, not ordered by warp collectives, one is a plain write;
//   global memory: the same inside a block; between blocks of a launch, unless a fence and an atomic order them.
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "machine.hpp"
#include "traffic.hpp"

namespace ctk {
static Machine& m = machine;
static std::map<uintptr_t, Region> allocations;  // by end address
static std::set<std::tuple<uint32_t, uint32_t, std::string>> races;
static std::unordered_map<uintptr_t, std::set<uint32_t>> released_at;  // blocks that fenced, then did an atomic here
static std::set<uint32_t> acquired;                                      // blocks that the running block comes after
static Region* last_region = nullptr;

constexpr uint32_t HOST = 1;  // as a block number

Region* find_global(uintptr_t a) {
    if (last_region && a >= last_region->lo && a < last_region->hi) return last_region;
    auto it = allocations.upper_bound(a);
    if (it == allocations.end() || a < it->second.lo) return nullptr;
    return last_region = &it->second;
}

static Region* find_shared(uintptr_t a) {
    Region& d = m.module->dynamic;
    if (a >= d.lo && a < d.hi) return &d;
    for (Region& r : m.module->shared)
        if (a >= r.lo && a < r.hi) return &r;
    return nullptr;
}

void begin_races() {
    races.clear();
    released_at.clear();
}

// Before each block: shared memory holds nothing that can be relied on.
void begin_block_memory() {
    acquired.clear();
    auto poison = [](Region& r) {
        __builtin_memset(reinterpret_cast<void*>(r.lo), 0xA5, r.hi - r.lo);
        if (m.options.checks) __builtin_memset(static_cast<void*>(r.cells), 0, (r.hi - r.lo) * sizeof(Cell));
    };
    for (Region& r : m.module->shared) poison(r);
    if (m.module->dynamic.hi > m.module->dynamic.lo) poison(m.module->dynamic);
}

static bool ordered(const Touch& before, const Touch& now) {
    if (before.block < m.first_block) return true;
    if (before.block != now.block) return acquired.count(before.block) != 0;
    if (before.epoch != now.epoch || before.thread == now.thread) return true;
    return (before.thread >> 5) == (now.thread >> 5) && m.current->clock[before.thread & 31] >= before.clock;
}

static uint32_t relative(void* pc) { return uint32_t(reinterpret_cast<uintptr_t>(pc) - m.module->image_lo); }

static void check_race(const Region& r, const Touch& before, const Touch& now) {
    if (before.block && !(before.atomic && now.atomic) && !ordered(before, now))
        races.insert({before.pc, now.pc, r.shared ? "shared " + r.name : "global " + r.name});
}

static void touch(Region& r, Cell& c, const Touch& now, bool reads, bool writes) {
    if (reads) {
        if (!r.shared && !now.atomic && c.read1.block < m.first_block && c.read2.block < m.first_block) m.traffic.unique_read++;
    }
    check_race(r, c.write, now);
    if (writes) {
        check_race(r, c.read1, now);
        check_race(r, c.read2, now);
        if (!r.shared && c.write.block < m.first_block) m.traffic.unique_written++;
        c.write = now;
    } else if (c.read1.block != now.block || c.read1.epoch != now.epoch || c.read1.thread == now.thread) {
        c.read1 = now;
    } else {
        c.read2 = now;
    }
}

// The bytes of a pixel mostly have one history: it is looked at once, and what it becomes is that of them all.
static void touch_all(Region& r, uintptr_t a, unsigned size, const Touch& now, bool reads, bool writes) {
    Cell* cells = r.cells + (a - r.lo);
    const Cell before = cells[0];
    const uint64_t read_before = m.traffic.unique_read, written_before = m.traffic.unique_written;
    touch(r, cells[0], now, reads, writes);
    const uint64_t read = m.traffic.unique_read - read_before, written = m.traffic.unique_written - written_before;
    for (unsigned i = 1; i < size; i++) {
        if (__builtin_memcmp(&cells[i], &before, sizeof before) != 0) {
            touch(r, cells[i], now, reads, writes);
            continue;
        }
        cells[i] = cells[0];
        m.traffic.unique_read += read;
        m.traffic.unique_written += written;
    }
}

// Vectors may hold bytes that nobody wrote, which their reader drops; other reads may not.
static void check_first_use(const Region& r, uintptr_t a, unsigned size, uint32_t pc) {
    unsigned fresh = 0;
    for (uintptr_t i = a; i < a + size; i++) fresh += r.cells[i - r.lo].write.block == 0;
    if (fresh == 0 || (size > 8 && fresh < size)) return;
    fault("%s %s: byte %zu is read before anything was written to it [pc %x]", r.shared ? "shared" : "global",
          r.name.c_str(), size_t(a - r.lo), pc);
    to_scheduler();
}

// A fence before an atomic publishes what the block did; an atomic on the same place takes over what others published.
static void order_by_atomic(uintptr_t address) {
    std::set<uint32_t>& published = released_at[address];
    acquired.insert(published.begin(), published.end());
    if (m.released) {
        published.insert(m.block);
        published.insert(acquired.begin(), acquired.end());
    }
}

static void access(void* p, unsigned size, bool reads, bool writes, bool atomic, void* pc) {
    Fiber* me = m.current;
    if (!me || !m.options.checks) return;
    const uintptr_t a = reinterpret_cast<uintptr_t>(p), stack = reinterpret_cast<uintptr_t>(me->stack);
    if (a >= stack && a < stack + STACK_BYTES) return;
    if (++me->accesses == m.options.access_limit) ctkh_trap("a thread made so many accesses that its loop seems endless", 0);
    Region* r = find_shared(a);
    if (!r) r = find_global(a);
    if (!r && !writes && a >= m.module->image_lo && a + size <= m.module->image_hi) return;  // constants
    const Touch now{m.block, m.epoch, me->clock[me->linear & 31], uint16_t(me->linear), atomic, relative(pc)};
    if (!r || a + size > r->hi) {
        const char* name = r ? r->name.c_str() : "anything known";
        fault("%s of %u bytes at %zx beyond %s [pc %x]", writes ? "write" : "read", size, size_t(a), name, now.pc);
        to_scheduler();
    }
    if (r->cells && reads) check_first_use(*r, a, size, now.pc);
    if (r->cells) touch_all(*r, a, size, now, reads, writes);
    if (atomic && !r->shared) order_by_atomic(a);
    if (m.options.counters) count_access(a, size, r->shared, writes && !(atomic && reads), atomic, now.pc);
    if (m.options.preempt && random_number() % m.options.preempt == 0) to_scheduler();
}

std::string races_text() {
    std::string text;
    char line[160];
    for (const auto& [first, second, where] : races) {
        std::snprintf(line, sizeof line, "%x %x %s\n", first, second, where.c_str());
        text += line;
    }
    return text;
}
}  // namespace ctk

using namespace ctk;

extern "C" {
void ctkh_allocate(uintptr_t address, size_t bytes, int tracked, const char* name) {
    Region r{address, address + bytes, nullptr, false, name};
    if (tracked) r.cells = static_cast<Cell*>(std::calloc(bytes ? bytes : 1, sizeof(Cell)));
    allocations[r.hi] = r;
    last_region = nullptr;
}
void ctkh_free(uintptr_t address, size_t bytes) {
    auto it = allocations.find(address + bytes);
    if (it == allocations.end()) return;
    std::free(it->second.cells);
    allocations.erase(it);
    last_region = nullptr;
}
void ctkh_host_wrote(uintptr_t address, size_t bytes) {
    Region* r = find_global(address);
    if (!r || !r->cells) return;
    for (size_t i = 0; i < bytes && address + i < r->hi; i++) r->cells[address + i - r->lo].write = Touch{HOST, 0, 0, 0, false, 0};
}
const char* ctkh_races() {
    static std::string text;
    text = races_text();
    return text.c_str();
}
Module* ctkh_module(uintptr_t image_lo, uintptr_t image_hi, unsigned n, const uintptr_t* addresses, const uint64_t* sizes,
                   const char* const* names, uintptr_t dynamic, uint64_t dynamic_capacity) {
    auto cells = [](uint64_t bytes) { return static_cast<Cell*>(std::calloc(bytes ? bytes : 1, sizeof(Cell))); };
    auto* module = new Module{image_lo, image_hi, {}, {dynamic, dynamic, cells(dynamic_capacity), true, "dynamic"}};
    for (unsigned i = 0; i < n; i++)
        module->shared.push_back({addresses[i], addresses[i] + sizes[i], cells(sizes[i]), true, names[i]});
    return module;
}

#define PC __builtin_return_address(0)
#define PLAIN(N) \
    void __tsan_read##N(void* p) { access(p, N, true, false, false, PC); } \
    void __tsan_write##N(void* p) { access(p, N, false, true, false, PC); } \
    void __tsan_unaligned_read##N(void* p) { access(p, N, true, false, false, PC); } \
    void __tsan_unaligned_write##N(void* p) { access(p, N, false, true, false, PC); } \
    void __tsan_volatile_read##N(void* p) { access(p, N, true, false, false, PC); } \
    void __tsan_volatile_write##N(void* p) { access(p, N, false, true, false, PC); }
PLAIN(1) PLAIN(2) PLAIN(4) PLAIN(8) PLAIN(16)
void __tsan_read_range(void* p, unsigned long n) { access(p, unsigned(n), true, false, false, PC); }
void __tsan_write_range(void* p, unsigned long n) { access(p, unsigned(n), false, true, false, PC); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

#define ATOMIC(BITS, T) \
    T __tsan_atomic##BITS##_load(const volatile T* p, int) { access((void*)p, BITS / 8, true, false, true, PC); return *p; } \
    void __tsan_atomic##BITS##_store(volatile T* p, T v, int) { access((void*)p, BITS / 8, false, true, true, PC); *p = v; } \
    T __tsan_atomic##BITS##_exchange(volatile T* p, T v, int) { access((void*)p, BITS / 8, true, true, true, PC); T o = *p; *p = v; return o; } \
    T __tsan_atomic##BITS##_fetch_add(volatile T* p, T v, int) { access((void*)p, BITS / 8, true, true, true, PC); T o = *p; *p = T(o + v); return o; } \
    T __tsan_atomic##BITS##_fetch_sub(volatile T* p, T v, int) { access((void*)p, BITS / 8, true, true, true, PC); T o = *p; *p = T(o - v); return o; } \
    T __tsan_atomic##BITS##_fetch_and(volatile T* p, T v, int) { access((void*)p, BITS / 8, true, true, true, PC); T o = *p; *p = o & v; return o; } \
    T __tsan_atomic##BITS##_fetch_or(volatile T* p, T v, int) { access((void*)p, BITS / 8, true, true, true, PC); T o = *p; *p = o | v; return o; } \
    T __tsan_atomic##BITS##_fetch_xor(volatile T* p, T v, int) { access((void*)p, BITS / 8, true, true, true, PC); T o = *p; *p = o ^ v; return o; } \
    int __tsan_atomic##BITS##_compare_exchange_strong(volatile T* p, T* e, T v, int, int) { \
        access((void*)p, BITS / 8, true, true, true, PC); \
        if (*p == *e) { *p = v; return 1; } \
        *e = *p; \
        return 0; \
    }
ATOMIC(8, uint8_t) ATOMIC(16, uint16_t) ATOMIC(32, uint32_t) ATOMIC(64, uint64_t)
}
