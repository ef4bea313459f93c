// CLAHE: the range an image spans, and the bin of a pixel. CTK_PIXEL: type of the images.
#pragma once
#include "common.cuh"
#include "median_keys.cuh"

typedef CTK_PIXEL ctk_pixel;
typedef ctk_keys<ctk_pixel>::type ctk_range_key;

#define CTK_THREADS 256
#define CTK_MOST_PARTS 32

template <typename T> struct ctk_finite {
    static __device__ __forceinline__ bool is(ctk_range_key) { return true; }
    static __device__ __forceinline__ ctk_range_key above() { return 0x7fffffff; }
};
template <> struct ctk_finite<float> {
    static __device__ __forceinline__ bool is(int k) { return k > int(0x807fffff) && k < 0x7f800000; }
    static __device__ __forceinline__ int above() { return 0x7fffffff; }
};
template <> struct ctk_finite<double> {
    static __device__ __forceinline__ bool is(long long k) {
        return k > (long long)0x800fffffffffffffLL && k < 0x7ff0000000000000LL;
    }
    static __device__ __forceinline__ long long above() { return 0x7fffffffffffffffLL; }
};

// What the bins of an image span, and how a pixel finds its bin. Integers: exact, v * nbins / d by the 64-bit reciprocal
// of d (the error of n / d is below n / 2^64, and n is below 2^32). Floats: in their own precision, rounded step by step.
template <typename T> struct ctk_binner {
    int low, high, nbins;
    ctk_u64 reciprocal;
    __device__ __forceinline__ void set(T a, T b, int n) {
        low = a, high = b, nbins = n;
        reciprocal = ~0ull / ctk_u64(unsigned(high - low + 1)) + 1;
    }
    __device__ __forceinline__ bool flat() const { return low == high; }
    __device__ __forceinline__ bool same() const { return high - low == nbins - 1; }  // a bin a value
    __device__ __forceinline__ int bin(T pixel) const {
        const int v = min(max(int(pixel), low), high) - low;
        return same() ? v : int(__umul64hi(ctk_u64(unsigned(v) * unsigned(nbins)), reciprocal));
    }
};
// Half of everything: the span of the largest numbers would overflow.
#define CTK_FLOAT_BINNER(T, add, sub, mul, div) \
    template <> struct ctk_binner<T> { \
        T low, high, low_half, scale, last; \
        __device__ __forceinline__ void set(T a, T b, int n) { \
            low = a, high = b, last = T(n - 1); \
            low_half = mul(low, T(0.5)); \
            scale = div(T(n), sub(mul(high, T(0.5)), low_half)); \
        } \
        __device__ __forceinline__ bool flat() const { return low == high; } \
        __device__ __forceinline__ int bin(T v) const { \
            v = v > low ? v : low; /* NaN and -inf: the low end */ \
            v = v < high ? v : high; \
            const T t = mul(sub(mul(v, T(0.5)), low_half), scale); \
            return int(t < last ? t : last); \
        } \
    };
CTK_FLOAT_BINNER(float, __fadd_rn, __fsub_rn, __fmul_rn, __fdiv_rn)
CTK_FLOAT_BINNER(double, __dadd_rn, __dsub_rn, __dmul_rn, __ddiv_rn)

// What all kernels are told of bins: `parts` is 0 where the range is given, else the number of partial results an image
// has in `partials`, smallest and largest key in turn.
struct ctk_bin_setting {
    const ctk_range_key* partials;
    int parts, nbins;
    double low, high;
};

// The binner of an image, for all threads of the block. `shared` holds one binner; contains barriers.
__device__ __forceinline__ ctk_binner<ctk_pixel> ctk_binner_of(const ctk_bin_setting& s, long long image,
                                                              ctk_binner<ctk_pixel>* shared) {
    __syncthreads();
    if (threadIdx.x < 32) {
        ctk_pixel low = ctk_pixel(s.low), high = ctk_pixel(s.high);
        if (s.parts) {
            const bool mine = int(threadIdx.x) < s.parts;
            const ctk_range_key* p = s.partials + 2 * (image * s.parts + int(threadIdx.x));
            const ctk_range_key above = ctk_finite<ctk_pixel>::above();
            const ctk_range_key least = ctk_warp_min(mine ? p[0] : above), most = ctk_warp_max(mine ? p[1] : ctk_range_key(-above));
            const bool any = least <= most;
            low = any ? ctk_sorted_pixel<ctk_pixel>::of(least) : ctk_pixel(0);
            high = any ? ctk_sorted_pixel<ctk_pixel>::of(most) : ctk_pixel(0);
        }
        if (threadIdx.x == 0) shared->set(low, high, s.nbins);
    }
    __syncthreads();
    return *shared;
}
