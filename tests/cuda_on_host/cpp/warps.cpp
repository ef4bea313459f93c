// Warp collectives: every lane that the mask names must come, with the same mask, the same operation, the same place.
// Only __syncwarp orders memory; shuffles, votes and matches promise nothing of the kind (CUDA C++ Programming Guide,
// "Warp Shuffle Functions"), whatever today's processors do.
#include "machine.hpp"

using namespace ctk;
static Machine& m = machine;

// What one lane knew before the barrier, all of its lanes know after it.
static void join_clocks(Fiber* lanes, unsigned mask) {
    uint16_t known[32] = {};
    for (unsigned l = 0; l < 32; l++)
        if (mask >> l & 1)
            for (unsigned k = 0; k < 32; k++) known[k] = known[k] > lanes[l].clock[k] ? known[k] : lanes[l].clock[k];
    for (unsigned l = 0; l < 32; l++)
        if (mask >> l & 1) {
            for (unsigned k = 0; k < 32; k++) lanes[l].clock[k] = known[k];
            if (++lanes[l].clock[l] == 0) fault("more than 65,535 warp barriers in a thread");
        }
}

// What lane `l` gets, once all have come.
static uint64_t result_of(const Fiber* lanes, unsigned l, unsigned mask, Collective kind) {
    if (kind == Collective::EXCHANGE) return lanes[lanes[l].source].value;
    unsigned found = 0;
    for (unsigned k = 0; k < 32; k++)
        if (mask >> k & 1) found |= unsigned(kind == Collective::MATCH ? lanes[k].value == lanes[l].value : lanes[k].value != 0) << k;
    return found;
}

static uint64_t collective(Collective kind, unsigned mask, uint64_t value, int source, int op, int line) {
    Fiber* me = m.current;
    Fiber* lanes = &m.fibers[me->linear & ~31u];
    Warp& w = m.warps[me->linear >> 5];
    const unsigned lane = me->linear & 31;
    if (!(mask >> lane & 1)) ctkh_trap("warp collective: the caller is not in its own mask", line);
    me->mask = mask;
    me->op = op;
    me->line = line;
    me->value = value;
    me->source = source < 0 || source > 31 ? int(lane) : source;
    if (!(mask >> me->source & 1)) ctkh_trap("shuffle reads a lane outside of its mask", line);
    w.arrived |= 1u << lane;
    if ((w.arrived & mask) != mask) {
        me->wait = Wait::WARP;
        to_scheduler();
        return me->result;
    }
    for (unsigned l = 0; l < 32; l++) {
        if (!(mask >> l & 1)) continue;
        const Fiber& other = lanes[l];
        if (other.mask != mask || other.op != op || other.line != line)
            ctkh_trap("warp collective: lanes disagree on the mask, the operation or the place", line);
    }
    for (unsigned l = 0; l < 32; l++) {
        if (!(mask >> l & 1)) continue;
        if (kind != Collective::BARRIER) lanes[l].result = result_of(lanes, l, mask, kind);
        lanes[l].wait = Wait::RUN;
    }
    w.arrived &= ~mask;
    if (kind == Collective::BARRIER) join_clocks(lanes, mask);
    return me->result;
}

extern "C" {
void ctkh_warp_barrier(unsigned mask, int op, int line) { collective(Collective::BARRIER, mask, 0, -1, op, line); }
uint64_t ctkh_warp_exchange(unsigned mask, uint64_t value, int source, int op, int line) {
    return collective(Collective::EXCHANGE, mask, value, source, op, line);
}
unsigned ctkh_warp_gather(unsigned mask, uint64_t value, int match, int op, int line) {
    return unsigned(collective(match ? Collective::MATCH : Collective::BALLOT, mask, value, -1, op, line));
}
}
