// What a warp asks of memory. The n-th execution of one instruction by the lanes of a warp is one request. Global: 32-byte
// sectors, and how many the bytes would need if they lay together. Shared: wavefronts, i.e. the most different 4-byte words
// that fall on one of the 32 banks, and how many the bytes need at least (128 bytes a wavefront).
#include "traffic.hpp"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "machine.hpp"

namespace ctk {
static Machine& m = machine;

struct Record {
    uint64_t request;  // warp, instruction, occurrence, kind
    uintptr_t address;
    unsigned size;
    bool shared, write;
};
static std::vector<Record> records;
static std::unordered_map<uint64_t, uint32_t> occurrences;

void begin_launch_traffic() {
    records.clear();
    occurrences.clear();
}

void count_access(uintptr_t address, unsigned size, bool shared, bool write, bool atomic, uint32_t pc) {
    if (atomic) {
        (shared ? m.traffic.atomic_shared : m.traffic.atomic_global)++;
        return;
    }
    const unsigned thread = m.current->linear;
    const uint32_t n = occurrences[uint64_t(pc) << 11 | thread << 1 | write]++;
    records.push_back({uint64_t(pc) << 38 ^ uint64_t(n) << 6 ^ uint64_t(thread >> 5) << 1 ^ write, address, size, shared, write});
}

static size_t distinct(std::vector<uintptr_t>& v) {
    std::sort(v.begin(), v.end());
    return size_t(std::unique(v.begin(), v.end()) - v.begin());
}

static void count_global(const Record* first, const Record* last) {
    std::vector<uintptr_t> sectors, bytes;
    for (const Record* r = first; r != last; r++)
        for (unsigned i = 0; i < r->size; i++) {
            bytes.push_back(r->address + i);
            if (i == 0 || (r->address + i) % 32 == 0) sectors.push_back((r->address + i) / 32);
        }
    const uint64_t s = distinct(sectors), b = distinct(bytes), ideal = (b + 31) / 32;
    Traffic& t = m.traffic;
    if (first->write) t.write_requests++, t.write_sectors += s, t.write_ideal += ideal, t.write_bytes += b;
    else t.read_requests++, t.read_sectors += s, t.read_ideal += ideal, t.read_bytes += b;
}

static void count_shared(const Record* first, const Record* last) {
    std::vector<uintptr_t> words;
    for (const Record* r = first; r != last; r++)
        for (uintptr_t w = r->address / 4; w <= (r->address + r->size - 1) / 4; w++) words.push_back(w);
    words.resize(distinct(words));
    unsigned bank[32] = {}, most = 0;
    for (uintptr_t w : words) most = std::max(most, ++bank[w % 32]);
    m.traffic.shared_requests++;
    m.traffic.shared_wavefronts += most;
    m.traffic.shared_ideal += (words.size() + 31) / 32;
}

void flush_traffic() {
    std::stable_sort(records.begin(), records.end(), [](const Record& a, const Record& b) { return a.request < b.request; });
    for (size_t i = 0, j; i < records.size(); i = j) {
        for (j = i + 1; j < records.size() && records[j].request == records[i].request; j++) {}
        (records[i].shared ? count_shared : count_global)(&records[i], &records[j]);
    }
    begin_launch_traffic();
}
}  // namespace ctk
