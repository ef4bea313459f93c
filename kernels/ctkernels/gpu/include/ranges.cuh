// How an image's own range becomes the line that its pixels go through: eight doubles an image, written by one kernel and
// read by the next, so that the host never waits.
#pragma once
#include "line.cuh"

#define CTK_PARAMETERS 8
#define CTK_LINE 0    // base, scale, offset: float32 arithmetic
#define CTK_EXACT 1   // low, high: float64, for steps and for numbers that float32 cannot hold
#define CTK_EMPTY 2   // no pixel counts: the low end everywhere
#define CTK_SCORES 3  // mean, sd: float64

struct ctk_line_numbers {
    double base, scale, offset;
};
__device__ __forceinline__ bool ctk_line_fits(double zero, double span, double low, double rise) {
    const double steep = span != 0.0 ? fabs(rise) / fabs(span) : 1e300;
    return 1e-30 < fabs(span) && fabs(span) < 1e30 && 1e-30 < steep && steep < 1e30 && fabs(zero) < 1e30 &&
           fabs(zero) * steep < 1e30 && fabs(low) < 1e30;
}
// The line from low at `zero` that rises by `rise` over `span`: `float32_line` of `shared/lines.py`.
__device__ __forceinline__ ctk_line_numbers ctk_line_of(double zero, double base, double span, double low, double rise) {
    const double rest = __dsub_rn(zero, base);
    const double run_up = __dsub_rn(double(__double2float_rn(__dsub_rn(__dadd_rn(zero, span), base))), rest);
    const bool usable = run_up != 0.0 && fabs(run_up) < 1e300;
    const double exact = __ddiv_rn(rise, usable ? run_up : span);
    float scale = __double2float_rn(exact);
    if (fabs(double(scale)) < fabs(exact)) scale = __double2float_rn(__dmul_rn(exact, 1.0 + 1.2e-7));
    return {base, double(scale), double(__double2float_rn(__dsub_rn(low, __dmul_rn(rest, exact))))};
}
// float64 images may subtract all of `zero`, narrower ones what float32 holds of it.
template <typename T> __device__ __forceinline__ double ctk_base_of(double zero) {
    return sizeof(T) == 8 ? zero : double(__double2float_rn(zero));
}
__device__ __forceinline__ void ctk_set_line(double* p, const ctk_line_numbers& line) {
    p[0] = CTK_LINE;
    p[1] = line.base;
    p[2] = line.scale;
    p[3] = line.offset;
}
__device__ __forceinline__ void ctk_set_mode(double* p, int mode, double a, double b) {
    p[0] = mode;
    p[1] = a;
    p[2] = b;
}

// The pass over the pixels. low, high: of the output range; lowest, highest: where results of a line are clipped; clip: whether
// those of float64 arithmetic end at the output range.
template <typename A, typename B>
__device__ __forceinline__ void ctk_map_ranges(const A* __restrict__ x, B* __restrict__ out, long long pixels, int images,
                                               const double* __restrict__ parameters, double low, double high, float lowest,
                                               float highest, int clip = 1) {
    for (int image = int(blockIdx.y); image < images; image += int(gridDim.y)) {
        const double* const p = parameters + (long long)image * CTK_PARAMETERS;
        const int mode = int(p[0]);
        const double a = p[1], b = p[2];
        if (mode == CTK_LINE) {
            if constexpr (sizeof(B) < 8) ctk_map_line(x, out, image * pixels, pixels, a, float(b), float(p[3]), lowest, highest);
            continue;
        }
        ctk_map_each(x, out, image * pixels, pixels, [&](A pixel) {
            const double v = ctk_wide(pixel);
            if (mode == CTK_SCORES) {
                const double part = fabs(a) > 1e300 ? 0.25 : 1.0;  // v - mean could overflow
                return ctk_result<B>::store(
                    __ddiv_rn(__dsub_rn(__dmul_rn(v, part), __dmul_rn(a, part)), __dmul_rn(b, part)));
            }
            const double unit = mode == CTK_EXACT ? ctk_scale_to_unit(v, a, b, clip) : v == v ? 0.0 : v;
            return ctk_store_unit<B>(unit, low, high);
        });
    }
}
