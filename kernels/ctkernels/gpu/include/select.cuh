// Percentiles by radix selection, exact for every dtype: eight bits of the keys a pass, the highest first. A pass counts the
// next digit of the pixels that agree with what is known of a wanted rank; two ranks a percentile. Then one block an image
// walks the counts, so nothing waits for the host. Passes: 1 for uint8, 2 for 16 bits, 4 for float32, 8 for float64.
#pragma once
#include "map.cuh"

#define CTK_MOST_SLOTS 16  // ranks at a time: eight percentiles
#define CTK_STATE 49       // words an image: pixels that count, then prefix, rank and representative of each slot

template <typename T> struct ctk_digits { typedef unsigned type; };
template <> struct ctk_digits<double> { typedef ctk_u64 type; };

// Keys as unsigned numbers that begin at 0.
__device__ __forceinline__ unsigned ctk_unsigned(ctk_u8, int key) { return unsigned(key); }
__device__ __forceinline__ unsigned ctk_unsigned(ctk_u16, int key) { return unsigned(key); }
__device__ __forceinline__ unsigned ctk_unsigned(short, int key) { return unsigned(key + 32768); }
__device__ __forceinline__ unsigned ctk_unsigned(float, int key) { return unsigned(key) ^ 0x80000000u; }
__device__ __forceinline__ ctk_u64 ctk_unsigned(double, long long key) { return ctk_u64(key) ^ 0x8000000000000000ULL; }
template <typename T> __device__ __forceinline__ double ctk_value_of(typename ctk_digits<T>::type u) {
    typedef typename ctk_digits<T>::type U;
    typedef typename ctk_keys<T>::type K;
    if constexpr (ctk_is_float<T>::value) return ctk_unkey<T>::wide(K(u ^ U(1) << (sizeof(T) * 8 - 1)));
    else return double(int(u) - (T(-1) < T(0) ? 32768 : 0));
}

// Counts one digit. state: of the pass before (not read in pass 0); counts: zero, one row of 256 for each slot.
template <typename T>
__device__ void ctk_count_digits(const T* __restrict__ image, long long pixels, int part, int parts, typename ctk_keys<T>::type first,
                                 typename ctk_keys<T>::type last, int pass, int slots, const ctk_u64* __restrict__ state,
                                 ctk_u64* __restrict__ counts, unsigned* tally) {
    typedef typename ctk_digits<T>::type U;
    __shared__ U prefix[CTK_MOST_SLOTS];
    __shared__ int row[CTK_MOST_SLOTS];
    __shared__ int used;
    if (threadIdx.x == 0) {
        int n = 0;
        for (int s = 0; s < (pass ? slots : 1); s++) {
            if (pass && int(state[1 + 2 * CTK_MOST_SLOTS + s]) != s) continue;
            prefix[n] = pass ? U(state[1 + s]) : U(0);
            row[n++] = s;
        }
        used = n;
    }
    __syncthreads();
    const int rows = used;
    for (int i = int(threadIdx.x); i < rows * 256; i += int(blockDim.x)) tally[i] = 0;
    __syncthreads();
    const int shift = int(sizeof(T)) * 8 - 8 * (pass + 1);
    ctk_visit<2>(image, 0, pixels, part, parts, [&](const auto& in) {
        for (int i = 0; i < int(sizeof(in) / sizeof(in[0])); i++) {
            const typename ctk_keys<T>::type key = ctk_key(in[i]);
            if (key < first || key > last) continue;
            const U u = ctk_unsigned(in[i], key);
            const unsigned digit = unsigned(u >> shift) & 255u;
            if (pass == 0) {
                atomicAdd(&tally[digit], 1u);
                continue;
            }
            const U known = u >> (shift + 8);
            for (int s = 0; s < rows; s++)
                if (known == prefix[s]) {
                    atomicAdd(&tally[s * 256 + int(digit)], 1u);
                    break;
                }
        }
    });
    __syncthreads();
    for (int i = int(threadIdx.x); i < rows * 256; i += int(blockDim.x))
        if (tally[i]) atomicAdd(&counts[row[i >> 8] * 256 + (i & 255)], ctk_u64(tally[i]));
    __syncthreads();
}

// a + (b - a) * t in numpy.percentile's order, finite for the largest floats too.
__device__ __forceinline__ double ctk_between(double a, double b, double t) {
    const double rise = __dsub_rn(b, a);
    if (fabs(rise) > 1.7976931348623157e308) return __dadd_rn(__dmul_rn(a, __dsub_rn(1.0, t)), __dmul_rn(b, t));
    return t >= 0.5 ? __dsub_rn(b, __dmul_rn(rise, __dsub_rn(1.0, t))) : __dadd_rn(a, __dmul_rn(rise, t));
}

// Finds the digit of every slot; clears the counts for the next pass, or writes the percentiles after the last one: NaN where
// no pixel counts. One block of 256 threads an image.
template <typename T>
__device__ void ctk_next_digit(int pass, int percentiles, const double* __restrict__ wanted, ctk_u64* __restrict__ state,
                               ctk_u64* __restrict__ counts, double* __restrict__ quantiles) {
    typedef typename ctk_digits<T>::type U;
    __shared__ U prefix[CTK_MOST_SLOTS];
    __shared__ double share[CTK_MOST_SLOTS];
    __shared__ ctk_u64 number;
    const int lane = int(threadIdx.x) & 31, slots = 2 * percentiles;
    for (int s = int(threadIdx.x) >> 5; s < slots; s += int(blockDim.x) >> 5) {
        const int from = pass ? int(state[1 + 2 * CTK_MOST_SLOTS + s]) : 0;
        const ctk_u64 known = pass ? state[1 + s] : 0;
        ctk_u64 rank = pass ? state[1 + CTK_MOST_SLOTS + s] : 0;
        ctk_u64 own[8], sum = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) sum += own[i] = counts[from * 256 + lane * 8 + i];
        const ctk_u64 through = ctk_warp_scan(sum);
        const ctk_u64 count = pass ? state[0] : __shfl_sync(CTK_FULL, through, 31);
        if (!pass && count) {
            const double position = __dmul_rn(double(count - 1), __ddiv_rn(wanted[s >> 1], 100.0));
            const ctk_u64 lower = __double2ull_rz(position) < count - 1 ? __double2ull_rz(position) : count - 1;
            rank = (s & 1) && lower + 1 < count ? lower + 1 : lower;
        }
        __syncwarp();  // all lanes have read the state
        if (count) {
            // The lane in whose eight bins the rank lies goes through them.
            const ctk_u64 before = through - sum;
            if (rank >= before && rank < through) {
                ctk_u64 left = rank - before;
                int digit = lane * 8;
                bool chosen = false;
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    if (!chosen && left < own[i]) chosen = true;
                    if (!chosen) {
                        left -= own[i];
                        digit++;
                    }
                }
                prefix[s] = U((pass ? U(known) << 8 : U(0)) | U(digit));
                state[1 + CTK_MOST_SLOTS + s] = left;
                state[1 + s] = ctk_u64(prefix[s]);
            }
        } else if (lane == 0) {
            prefix[s] = U(0);
            state[1 + CTK_MOST_SLOTS + s] = 0;
            state[1 + s] = 0;
        }
        if (s == 0 && lane == 0) number = count;
    }
    __syncthreads();
    if (threadIdx.x == 0) state[0] = number;
    if ((pass + 1) * 8 < int(sizeof(T)) * 8) {
        for (int i = int(threadIdx.x); i < slots * 256; i += int(blockDim.x)) counts[i] = 0;
        for (int s = int(threadIdx.x); s < slots; s += int(blockDim.x)) {
            int same = 0;
            while (prefix[same] != prefix[s]) same++;
            state[1 + 2 * CTK_MOST_SLOTS + s] = ctk_u64(same);
        }
        return;
    }
    for (int k = int(threadIdx.x); k < percentiles; k += int(blockDim.x)) {
        const double position = number ? __dmul_rn(double(number - 1), __ddiv_rn(wanted[k], 100.0)) : 0.0;
        const ctk_u64 whole = __double2ull_rz(position);
        share[k] = position - double(number && whole > number - 1 ? number - 1 : whole);
        quantiles[k] = number ? ctk_between(ctk_value_of<T>(prefix[2 * k]), ctk_value_of<T>(prefix[2 * k + 1]), share[k])
                              : __longlong_as_double(0x7ff8000000000000LL);
    }
}

#define CTK_SELECT_KERNELS(OPERATION)                                                                                    \
    extern "C" __global__ void __launch_bounds__(256)                                                                    \
    ctk_##OPERATION##_count(const CTK_IN* __restrict__ x, long long pixels, int images, ctk_keys<CTK_IN>::type first,    \
                            ctk_keys<CTK_IN>::type last, int pass, int slots, const ctk_u64* __restrict__ state,         \
                            ctk_u64* __restrict__ counts) {                                                              \
        __shared__ unsigned tally[CTK_MOST_SLOTS * 256];                                                                 \
        for (int image = int(blockIdx.y); image < images; image += int(gridDim.y))                                       \
            ctk_count_digits(x + image * pixels, pixels, int(blockIdx.x), int(gridDim.x), first, last, pass, slots,      \
                             state + (long long)image * CTK_STATE, counts + (long long)image * slots * 256, tally);      \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(256)                                                                    \
    ctk_##OPERATION##_step(int pass, int percentiles, const double* __restrict__ wanted, ctk_u64* __restrict__ state,    \
                           ctk_u64* __restrict__ counts, double* __restrict__ quantiles, int stride) {                   \
        const long long image = blockIdx.x;                                                                              \
        ctk_next_digit<CTK_IN>(pass, percentiles, wanted, state + image * CTK_STATE,                                     \
                               counts + image * 2 * percentiles * 256, quantiles + image * stride);                      \
    }
