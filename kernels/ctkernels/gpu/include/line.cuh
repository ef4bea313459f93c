// One straight line with clipped ends per pixel, under window, normalize and standardize: the arithmetic of the CPU
// backend, in the same order, so that both give the same bits (except that -ftz=true makes float32 subnormals zero).
//   result = (x - base) * scale + offset, float32, fused; clipped to lowest .. highest
// The exact forms are float64 in the reference's order, for lines that float32 cannot hold.
#pragma once
#include "map.cuh"

// x - base as float32; float64 pixels are subtracted in float64.
template <typename T> __device__ __forceinline__ float ctk_difference(T v, double base) {
    return __fsub_rn(float(v), float(base));
}
template <> __device__ __forceinline__ float ctk_difference<double>(double v, double base) {
    return __double2float_rn(__dsub_rn(v, base));
}
template <typename T> __device__ __forceinline__ double ctk_wide(T v) { return ctk_unkey<T>::wide(ctk_key(v)); }

// To the result's type, rounded half to even and saturated; NaN becomes `bottom` in integers.
template <typename T> struct ctk_result {
    static __device__ __forceinline__ T clipped(float v, float lowest, float highest) {  // integers
        v = v > lowest ? v : lowest;
        v = v < highest ? v : highest;
        return T(__float2int_rn(v));
    }
    static __device__ __forceinline__ T store(double v) {
        const double least = sizeof(T) == 1 ? 0.0 : T(-1) < T(0) ? -32768.0 : 0.0;
        const double most = sizeof(T) == 1 ? 255.0 : T(-1) < T(0) ? 32767.0 : 65535.0;
        v = v > least ? v : least;
        v = v < most ? v : most;
        return T(__double2int_rn(v));
    }
    static __device__ __forceinline__ double unit(double u) { return u == u ? u : 0.0; }
};
template <> struct ctk_result<float> {
    static __device__ __forceinline__ float clipped(float v, float lowest, float highest) {  // NaN stays
        v = v < lowest ? lowest : v;
        return v > highest ? highest : v;
    }
    static __device__ __forceinline__ float store(double v) { return __double2float_rn(v); }
    static __device__ __forceinline__ double unit(double u) { return u; }
};
template <> struct ctk_result<double> {
    static __device__ __forceinline__ double store(double v) { return v; }
    static __device__ __forceinline__ double unit(double u) { return u; }
};

// 0 at low, 1 at high, clipped; a step where both are equal. NaN stays.
__device__ __forceinline__ double ctk_scale_to_unit(double v, double low, double high, int clip = 1) {
    if (high == low) return v == v ? (v > high ? 1.0 : 0.0) : v;
    // The difference of two huge ends would overflow; halves of them do not, and halving is exact.
    const double part = fmax(fabs(low), fabs(high)) > 1e300 ? 0.5 : 1.0;
    const double shift = __dmul_rn(low, part);
    const double u = __ddiv_rn(__dsub_rn(__dmul_rn(v, part), shift), __dsub_rn(__dmul_rn(high, part), shift));
    return !clip ? u : u < 0.0 ? 0.0 : u > 1.0 ? 1.0 : u;
}
template <typename T> __device__ __forceinline__ T ctk_store_unit(double unit, double low, double high) {
    return ctk_result<T>::store(__dadd_rn(low, __dmul_rn(ctk_result<T>::unit(unit), __dsub_rn(high, low))));
}

// Applies the line to a run of pixels.
template <typename A, typename B>
__device__ __forceinline__ void ctk_map_line(const A* __restrict__ x, B* __restrict__ out, long long start, long long count,
                                             double base, float scale, float offset, float lowest, float highest) {
    ctk_map<4>(x, out, start, count, [&](const auto& in, auto& result) {
#pragma unroll
        for (int i = 0; i < int(sizeof(in) / sizeof(in[0])); i++)
            result[i] = ctk_result<B>::clipped(__fmaf_rn(ctk_difference<A>(in[i], base), scale, offset), lowest, highest);
    });
}
