// What every kernel shares: vector access, warp and block reductions, integer keys of floats.
// Compiled unchanged by NVRTC and by g++. No standard headers: NVRTC has none.
#pragma once

#define CTK_FULL 0xffffffffu

typedef unsigned char ctk_u8;
typedef unsigned short ctk_u16;
typedef unsigned long long ctk_u64;

// ---------------------------------------------------------------------------------------------------------- vectors
// The machine word of so many bytes; loads and stores of 16 bytes are the widest there are.
template <int BYTES> struct ctk_word;
template <> struct ctk_word<1> { typedef unsigned char type; };
template <> struct ctk_word<2> { typedef unsigned short type; };
template <> struct ctk_word<4> { typedef unsigned type; };
template <> struct ctk_word<8> { typedef uint2 type; };
template <> struct ctk_word<16> { typedef uint4 type; };

// V values that travel as one word. The pointer must be a multiple of its size.
template <typename T, int V> union ctk_pack {
    typedef typename ctk_word<int(sizeof(T)) * V>::type word;
    word whole;
    T at[V];
};

template <int V, typename T> __device__ __forceinline__ ctk_pack<T, V> ctk_load(const T* p) {
    ctk_pack<T, V> r;
    r.whole = __ldg(reinterpret_cast<const typename ctk_pack<T, V>::word*>(p));
    return r;
}
template <int V, typename T> __device__ __forceinline__ void ctk_store(T* p, const ctk_pack<T, V>& v) {
    *reinterpret_cast<typename ctk_pack<T, V>::word*>(p) = v.whole;
}
// Whether p is a multiple of so many bytes (a power of two).
__device__ __forceinline__ bool ctk_aligned(const void* p, int bytes) {
    return (reinterpret_cast<ctk_u64>(p) & ctk_u64(bytes - 1)) == 0;
}
template <typename A, typename B> __device__ constexpr int ctk_lanes_of() {
    return 16 / int(sizeof(A) > sizeof(B) ? sizeof(A) : sizeof(B));
}

// ------------------------------------------------------------------------------------------------------- reductions
template <typename T> __device__ __forceinline__ T ctk_warp_sum(T v) {
    for (int d = 16; d; d >>= 1) v += __shfl_xor_sync(CTK_FULL, v, d);
    return v;
}
template <typename T> __device__ __forceinline__ T ctk_warp_min(T v) {
    for (int d = 16; d; d >>= 1) { const T o = __shfl_xor_sync(CTK_FULL, v, d); v = o < v ? o : v; }
    return v;
}
template <typename T> __device__ __forceinline__ T ctk_warp_max(T v) {
    for (int d = 16; d; d >>= 1) { const T o = __shfl_xor_sync(CTK_FULL, v, d); v = o > v ? o : v; }
    return v;
}
template <typename T> __device__ __forceinline__ T ctk_warp_scan(T v) {  // inclusive
    const int lane = int(threadIdx.x) & 31;
    for (int d = 1; d < 32; d <<= 1) {
        const T o = __shfl_up_sync(CTK_FULL, v, d);
        if (lane >= d) v += o;
    }
    return v;
}

// Over the block's warps, in a fixed order; every thread gets the result. `room`: one element a warp, shared.
template <typename T, typename F> __device__ __forceinline__ T ctk_over_warps(T v, T* room, F join) {
    __syncthreads();  // whoever used the room before is done
    if ((threadIdx.x & 31) == 0) room[threadIdx.x >> 5] = v;
    __syncthreads();
    v = room[0];
    for (int w = 1; w < int(blockDim.x) >> 5; w++) v = join(v, room[w]);
    return v;
}
template <typename T> __device__ __forceinline__ T ctk_block_sum(T v, T* room) {
    return ctk_over_warps(ctk_warp_sum(v), room, [](T a, T b) { return a + b; });
}
template <typename T> __device__ __forceinline__ T ctk_block_min(T v, T* room) {
    return ctk_over_warps(ctk_warp_min(v), room, [](T a, T b) { return a < b ? a : b; });
}
template <typename T> __device__ __forceinline__ T ctk_block_max(T v, T* room) {
    return ctk_over_warps(ctk_warp_max(v), room, [](T a, T b) { return a > b ? a : b; });
}

// ------------------------------------------------------------------------------------------------------------- keys
// The integer that sorts as the pixel does; NaN lies beyond both infinities. Comparisons of keys see float32 subnormals,
// which -ftz=true hides from comparisons of floats.
template <typename T> struct ctk_keys { typedef int type; };
template <> struct ctk_keys<double> { typedef long long type; };
template <typename T> struct ctk_is_float { static constexpr bool value = false; };
template <> struct ctk_is_float<float> { static constexpr bool value = true; };
template <> struct ctk_is_float<double> { static constexpr bool value = true; };

__device__ __forceinline__ int ctk_key(ctk_u8 v) { return v; }
__device__ __forceinline__ int ctk_key(short v) { return v; }
__device__ __forceinline__ int ctk_key(ctk_u16 v) { return v; }
__device__ __forceinline__ int ctk_key(float v) {
    const int b = __float_as_int(v);
    return b ^ ((b >> 31) & 0x7fffffff);
}
__device__ __forceinline__ long long ctk_key(double v) {
    const long long b = __double_as_longlong(v);
    return b ^ ((b >> 63) & 0x7fffffffffffffffLL);
}
__device__ __forceinline__ bool ctk_is_nan(ctk_u8) { return false; }
__device__ __forceinline__ bool ctk_is_nan(short) { return false; }
__device__ __forceinline__ bool ctk_is_nan(ctk_u16) { return false; }
__device__ __forceinline__ bool ctk_is_nan(float v) { return v != v; }
__device__ __forceinline__ bool ctk_is_nan(double v) { return v != v; }
// The value of a key as a double. float32 subnormals go by their bits, since conversions would flush them.
template <typename T> struct ctk_unkey {
    static __device__ __forceinline__ double wide(int k) { return double(k); }
};
template <> struct ctk_unkey<float> {
    static __device__ __forceinline__ double wide(int k) {
        const int b = k ^ ((k >> 31) & 0x7fffffff);
        const int magnitude = b & 0x7fffffff;
        if (magnitude >= 0x00800000) return double(__int_as_float(b));
        const double tiny = double(magnitude) * 1.401298464324817e-45;
        return b < 0 ? -tiny : tiny;
    }
};
template <> struct ctk_unkey<double> {
    static __device__ __forceinline__ double wide(long long k) {
        return __longlong_as_double(k ^ ((k >> 63) & 0x7fffffffffffffffLL));
    }
};
