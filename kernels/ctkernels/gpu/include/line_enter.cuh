// A window as the first thing that happens to a pixel on its way into another kernel: ctk_map_line for one pixel.
#pragma once
#include "line.cuh"

struct ctk_line {
    double base;
    float scale, offset, lowest, highest;
};
template <typename B, typename A> __device__ __forceinline__ B ctk_on_line(A v, const ctk_line& l) {
    return ctk_result<B>::clipped(__fmaf_rn(ctk_difference<A>(v, l.base), l.scale, l.offset), l.lowest, l.highest);
}
