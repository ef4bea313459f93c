// Keys that sort as pixels do: NaN of either sign lies beyond everything and comes back as the NaN of all ones.
// Bits are moved and compared as integers, so that -ftz=true changes nothing.
#pragma once
#include "common.cuh"

__device__ __forceinline__ int ctk_sorted(ctk_u8 v) { return v; }
__device__ __forceinline__ int ctk_sorted(short v) { return v; }
__device__ __forceinline__ int ctk_sorted(ctk_u16 v) { return v; }
__device__ __forceinline__ int ctk_sorted(float v) {
    const int b = __float_as_int(v);
    return (b & 0x7fffffff) > 0x7f800000 ? 0x7fffffff : b ^ ((b >> 31) & 0x7fffffff);
}
__device__ __forceinline__ long long ctk_sorted(double v) {
    const long long b = __double_as_longlong(v);
    return (b & 0x7fffffffffffffffLL) > 0x7ff0000000000000LL ? 0x7fffffffffffffffLL
                                                             : b ^ ((b >> 63) & 0x7fffffffffffffffLL);
}

// The pixel of a key.
template <typename T> struct ctk_sorted_pixel {
    static __device__ __forceinline__ T of(int k) { return T(k); }
};
template <> struct ctk_sorted_pixel<float> {
    static __device__ __forceinline__ float of(int k) { return __int_as_float(k ^ ((k >> 31) & 0x7fffffff)); }
};
template <> struct ctk_sorted_pixel<double> {
    static __device__ __forceinline__ double of(long long k) {
        return __longlong_as_double(k ^ ((k >> 63) & 0x7fffffffffffffffLL));
    }
};
