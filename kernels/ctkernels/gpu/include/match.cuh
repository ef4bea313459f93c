// What a share of an image's pixels is in the reference histogram.
#pragma once
#include "line.cuh"

// Rising values, and the share of the reference's pixels up to each, rising to 1.
struct ctk_reference {
    const double* __restrict__ shares;
    const double* __restrict__ values;
    int knots;
};

// numpy.interp of below / total, in its order of arithmetic; no pixel at all has the share 0.
__device__ __forceinline__ double ctk_level(const ctk_reference& r, long long below, long long total) {
    const double share = __ddiv_rn(double(below), double(total > 0 ? total : 1));
    int low = 0, high = r.knots;  // shares of knots before `low` are at most `share`, those from `high` on above it
    while (low < high) {
        const int middle = (low + high) / 2;
        if (__ldg(r.shares + middle) <= share) low = middle + 1;
        else high = middle;
    }
    if (low == 0) return __ldg(r.values);
    const double before = __ldg(r.shares + low - 1), level = __ldg(r.values + low - 1);
    if (low == r.knots) return level;
    const double slope = __ddiv_rn(__dsub_rn(__ldg(r.values + low), level), __dsub_rn(__ldg(r.shares + low), before));
    return __dadd_rn(__dmul_rn(slope, __dsub_rn(share, before)), level);
}
