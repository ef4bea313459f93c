// Count, mean, sum of squared deviations and extremes of the pixels that count, in parts of an image that another kernel
// merges. Integers: exact sums. Floats: deviations from a pivot, the mean of the first tile that holds a pixel that counts;
// a part is so few tiles that a pivot far from the mean costs at most some bits (its square is at most tiles x variance).
// The parts, and which thread takes which pixel, depend on nothing but the image's size, and so do the results.
#pragma once
#include "common.cuh"

#define CTK_TILE 4096  // pixels: 16 a thread
#define CTK_EACH 16
#define CTK_PART 5     // words of a part: count, minimum key, maximum key; then sum, squares or mean, deviations

template <typename T> __device__ constexpr typename ctk_keys<T>::type ctk_key_top() {
    return sizeof(T) == 8 ? typename ctk_keys<T>::type(0x7fffffffffffffffLL) : typename ctk_keys<T>::type(0x7fffffff);
}

// Sixteen pixels of a tile. The same thread gets the same pixels whether they can be read as vectors or not.
template <typename T>
__device__ __forceinline__ void ctk_load_tile(const T* __restrict__ x, long long left, bool vectors, T (&v)[CTK_EACH], unsigned& valid) {
    constexpr int V = 16 / int(sizeof(T));
    valid = 0xffff;
    if (vectors && left >= CTK_TILE) {
#pragma unroll
        for (int u = 0; u < CTK_EACH / V; u++) {
            const ctk_pack<T, V> in = ctk_load<V>(x + (u * int(blockDim.x) + int(threadIdx.x)) * V);
#pragma unroll
            for (int i = 0; i < V; i++) v[u * V + i] = in.at[i];
        }
        return;
    }
    valid = 0;
#pragma unroll
    for (int i = 0; i < CTK_EACH; i++) {
        const int at = ((i / V) * int(blockDim.x) + int(threadIdx.x)) * V + i % V;
        if (at < left) valid |= 1u << i;
        v[i] = at < left ? __ldg(x + at) : T(0);
    }
}

// One part, by one block of 256 threads. `shrink`: what pixels are multiplied by; 1 but for huge float64.
template <typename T>
__device__ void ctk_part_moments(const T* __restrict__ image, long long pixels, int part, int parts, typename ctk_keys<T>::type first,
                                 typename ctk_keys<T>::type last, double shrink, long long* __restrict__ result) {
    typedef typename ctk_keys<T>::type K;
    __shared__ double room[8];
    __shared__ long long whole[8];
    const long long tiles = (pixels + CTK_TILE - 1) / CTK_TILE;
    const long long begin = tiles * part / parts, finish = tiles * (part + 1) / parts;
    const bool vectors = ctk_aligned(image, 16);
    K low = ctk_key_top<T>(), high = -ctk_key_top<T>() - 1;
    long long count = 0, total = 0;
    ctk_u64 squares = 0;
    double pivot = 0.0, rest = 0.0, deviations = 0.0;
    bool has_pivot = false;
    for (long long tile = begin; tile < finish; tile++) {
        // All loads of a tile come before the first use of a pixel; which of the sixteen count is one word of bits.
        T v[CTK_EACH];
        unsigned inside;
        ctk_load_tile(image + tile * CTK_TILE, pixels - tile * CTK_TILE, vectors, v, inside);
        int sum = 0;  // of sixteen 16-bit numbers: 32 bits hold it, and 64-bit additions cost twice as much
#pragma unroll
        for (int i = 0; i < CTK_EACH; i++) {
            const K key = ctk_key(v[i]);
            const bool counts = (inside >> i & 1u) && key >= first && key <= last;
            if (!counts) inside &= ~(1u << i);
            low = counts && key < low ? key : low;
            high = counts && key > high ? key : high;
            if (!ctk_is_float<T>::value) {
                const int w = counts ? int(key) : 0;
                sum += w;
                const unsigned size = unsigned(w < 0 ? -w : w);
                squares += ctk_u64(size) * size;
            }
        }
        count += __popc(inside);
        total += sum;
        if (ctk_is_float<T>::value) {
            if (!has_pivot) {
                double s = 0.0;  // each term is divided first: the sum of a tile of huge pixels would overflow
#pragma unroll
                for (int i = 0; i < CTK_EACH; i++) s += inside >> i & 1u ? double(v[i]) * shrink * (1.0 / CTK_TILE) : 0.0;
                const long long n = ctk_block_sum<long long>(__popc(inside), whole);
                s = ctk_block_sum(s, room);
                has_pivot = n > 0;
                pivot = n > 0 ? s * (double(CTK_TILE) / double(n)) : 0.0;
            }
#pragma unroll
            for (int i = 0; i < CTK_EACH; i++) {
                const double d = inside >> i & 1u ? double(v[i]) * shrink - pivot : 0.0;
                rest += d;
                deviations += d * d;
            }
        }
    }
    count = ctk_block_sum(count, whole);
    const long long least = ctk_block_min((long long)low, whole), most = ctk_block_max((long long)high, whole);
    long long third, fourth;
    if (ctk_is_float<T>::value) {
        rest = ctk_block_sum(rest, room);
        deviations = ctk_block_sum(deviations, room);
        const double share = count ? rest / double(count) : 0.0;
        const double around = deviations - rest * share;
        third = __double_as_longlong(pivot + share);
        fourth = __double_as_longlong(around > 0.0 ? around : 0.0);
    } else {
        third = ctk_block_sum(total, whole);
        fourth = ctk_block_sum((long long)squares, whole);
    }
    if (threadIdx.x == 0) {
        result[0] = count;
        result[1] = least;
        result[2] = most;
        result[3] = third;
        result[4] = fourth;
    }
    __syncthreads();
}

struct ctk_moments {
    long long count, low, high;  // keys
    double mean, sd;
};

// a * b - c * c of non-negative 64-bit numbers, correctly rounded: as float(Python's integers).
__device__ __forceinline__ double ctk_product_difference(ctk_u64 a, ctk_u64 b, ctk_u64 c) {
    // 128 bits as two words; then the leading 64 bits, with one sticky bit for all below, so that the rounding to double
    // happens once.
    ctk_u64 lo = a * b, hi = __umul64hi(a, b);
    const ctk_u64 lo2 = c * c, hi2 = __umul64hi(c, c);
    hi = hi - hi2 - (lo < lo2 ? 1u : 0u);
    lo -= lo2;
    if (hi == 0) return __ull2double_rn(lo);
    const int up = __clzll((long long)hi);
    const ctk_u64 top = up ? hi << up | lo >> (64 - up) : hi;
    const ctk_u64 below = up ? lo << up : lo;
    return __dmul_rn(__ull2double_rn(top | (below ? 1u : 0u)), __longlong_as_double((long long)(1023 + 64 - up) << 52));
}

// All parts of one image, merged by one warp in a fixed order (Chan, Golub and LeVeque 1983); every lane gets the result.
// `grown`: what mean and sd are multiplied by in the end, 1 / shrink.
template <typename T> __device__ ctk_moments ctk_merge_parts(const long long* __restrict__ parts, int number, double grown) {
    const int lane = int(threadIdx.x) & 31;
    long long count = 0, low = 0x7fffffffffffffffLL, high = -low - 1, total = 0, squares = 0;
    double mean = 0.0, around = 0.0;
    auto join = [&](long long n, double m, double s) {
        const double both = double(count + n);
        if (n == 0) return;
        const double d = m - mean;
        mean = count ? mean + d * (double(n) / both) : m;
        around = count ? around + (s + d * d * (double(count) * double(n) / both)) : s;
    };
    for (int p = lane; p < number; p += 32) {
        const long long* const one = parts + (long long)p * CTK_PART;
        if (ctk_is_float<T>::value) {
            join(one[0], __longlong_as_double(one[3]), __longlong_as_double(one[4]));
        } else {
            total += one[3];
            squares += one[4];
        }
        count += one[0];
        low = one[1] < low ? one[1] : low;
        high = one[2] > high ? one[2] : high;
    }
    for (int d = 16; d; d >>= 1) {
        const long long n = __shfl_xor_sync(CTK_FULL, count, d);
        const double m = __shfl_xor_sync(CTK_FULL, mean, d), s = __shfl_xor_sync(CTK_FULL, around, d);
        if (ctk_is_float<T>::value) join(n, m, s);
        count += n;
    }
    low = ctk_warp_min(low);
    high = ctk_warp_max(high);
    ctk_moments r = {count, low, high, 0.0, 0.0};
    if (count == 0) return r;
    if (ctk_is_float<T>::value) {
        // Lane 0's order is the one that counts: the other lanes joined the same numbers in another.
        mean = __shfl_sync(CTK_FULL, mean, 0);
        around = __shfl_sync(CTK_FULL, around, 0);
        r.mean = mean * grown;
        r.sd = __dsqrt_rn(around / double(count)) * grown;
        if (low == high) {  // the mean of equal numbers, rounded, need not be that number
            r.mean = ctk_unkey<T>::wide(typename ctk_keys<T>::type(low));
            r.sd = 0.0;
        }
    } else {
        total = ctk_warp_sum(total);
        squares = ctk_warp_sum(squares);
        const ctk_u64 size = total < 0 ? ctk_u64(-total) : ctk_u64(total);
        r.mean = __ddiv_rn(double(total), double(count));
        r.sd = __ddiv_rn(__dsqrt_rn(ctk_product_difference(ctk_u64(count), ctk_u64(squares), size)), double(count));
    }
    return r;
}

// Whether squares of deviations could overflow: only float64 beyond 1e140.
template <typename T> __device__ __forceinline__ bool ctk_huge(long long, long long) { return false; }
template <> __device__ __forceinline__ bool ctk_huge<double>(long long low, long long high) {
    if (low > high) return false;
    const double a = ctk_unkey<double>::wide(low), b = ctk_unkey<double>::wide(high);
    return a < -1e140 || b > 1e140;
}
#define CTK_SHRINK 2.4099198651028841e-181  // 2^-600
#define CTK_GROW 4.1495155688809930e+180    // 2^600

// The kernel of an operation that needs moments. With `before`, the parts of an earlier launch, it goes over float64
// images of huge numbers again, shrunk, and ends at once for all others. Two blocks a multiprocessor, so that ptxas keeps the
// sixteen pixels and their sums in registers.
#define CTK_MOMENTS_KERNEL(OPERATION)                                                                                    \
    extern "C" __global__ void __launch_bounds__(256, 2)                                                                 \
    ctk_##OPERATION##_moments(const CTK_IN* __restrict__ x, long long pixels, int images, int parts,                     \
                              ctk_keys<CTK_IN>::type first, ctk_keys<CTK_IN>::type last,                                 \
                              const long long* __restrict__ before, long long* __restrict__ table) {                     \
        for (int image = int(blockIdx.y); image < images; image += int(gridDim.y)) {                                     \
            const long long row = (long long)image * parts;                                                              \
            if (before) {                                                                                                \
                int huge = 0;                                                                                            \
                for (int p = int(threadIdx.x); p < parts; p += int(blockDim.x))                                          \
                    huge |= ctk_huge<CTK_IN>(before[(row + p) * CTK_PART + 1], before[(row + p) * CTK_PART + 2]);        \
                if (!__syncthreads_or(huge)) continue;                                                                   \
            }                                                                                                            \
            ctk_part_moments(x + image * pixels, pixels, int(blockIdx.x), parts, first, last, before ? CTK_SHRINK : 1.0, \
                             table + (row + blockIdx.x) * CTK_PART);                                                     \
        }                                                                                                                \
    }

// The moments of one image by one warp; `shrunk` counts where squares could overflow.
template <typename T>
__device__ __forceinline__ ctk_moments ctk_image_moments(const long long* __restrict__ table, const long long* __restrict__ shrunk,
                                                         int image, int parts) {
    const long long row = (long long)image * parts * CTK_PART;
    const ctk_moments m = ctk_merge_parts<T>(table + row, parts, 1.0);
    return ctk_huge<T>(m.low, m.high) ? ctk_merge_parts<T>(shrunk + row, parts, CTK_GROW) : m;
}
