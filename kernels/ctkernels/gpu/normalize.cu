// Each image's own range to the output range: extremes or two percentiles, then one line. Specialised by CTK_IN, the
// pixel type.
#include "select.cuh"
#include "ranges.cuh"

// Smallest and largest key of the pixels that count of one part of an image; the smallest above the largest where none does.
extern "C" __global__ void __launch_bounds__(256)
ctk_normalize_extent(const CTK_IN* __restrict__ x, long long pixels, int images, ctk_keys<CTK_IN>::type first,
                     ctk_keys<CTK_IN>::type last, long long* __restrict__ table) {
    typedef ctk_keys<CTK_IN>::type K;
    __shared__ K room[8];
    const K top = sizeof(K) == 8 ? K(0x7fffffffffffffffLL) : K(0x7fffffff);
    for (int image = int(blockIdx.y); image < images; image += int(gridDim.y)) {
        K low = top, high = -top - 1;
        ctk_visit<4>(x, image * pixels, pixels, int(blockIdx.x), int(gridDim.x), [&](const auto& in) {
#pragma unroll
            for (int i = 0; i < int(sizeof(in) / sizeof(in[0])); i++) {
                const K key = ctk_key(in[i]);
                const bool counts = key >= first && key <= last;
                low = counts && key < low ? key : low;
                high = counts && key > high ? key : high;
            }
        });
        low = ctk_block_min(low, room);
        high = ctk_block_max(high, room);
        if (threadIdx.x == 0) {
            long long* const part = table + ((long long)image * gridDim.x + blockIdx.x) * 2;
            part[0] = low;
            part[1] = high;
        }
    }
}

CTK_SELECT_KERNELS(normalize)

__device__ __forceinline__ void ctk_set_range(double* p, double low, double high, double low_out, double rise) {
    const double span = __dsub_rn(high, low);
    if (!(low == low)) ctk_set_mode(p, CTK_EMPTY, 0.0, 0.0);
    else if (ctk_line_fits(low, span, low_out, rise)) ctk_set_line(p, ctk_line_of(low, ctk_base_of<CTK_IN>(low), span, low_out, rise));
    else ctk_set_mode(p, CTK_EXACT, low, high);
}

// The line of each image. Eight images a block, one warp each. kind 0: low .. high for all; 1: `table` holds the extremes of
// `parts` parts; 2: `quantiles` holds two percentiles, NaN where no pixel counts.
extern "C" __global__ void __launch_bounds__(256)
ctk_normalize_range(int kind, double low, double high, const long long* __restrict__ table, int parts,
                    const double* __restrict__ quantiles, int images, double low_out, double rise, double* __restrict__ parameters) {
    const int image = int(blockIdx.x * 8 + (threadIdx.x >> 5)), lane = int(threadIdx.x) & 31;
    if (image >= images) return;
    if (kind == 1) {
        long long least = 0x7fffffffffffffffLL, most = -least - 1;
        for (int p = lane; p < parts; p += 32) {
            const long long* const part = table + ((long long)image * parts + p) * 2;
            least = part[0] < least ? part[0] : least;
            most = part[1] > most ? part[1] : most;
        }
        least = ctk_warp_min(least);
        most = ctk_warp_max(most);
        typedef ctk_keys<CTK_IN>::type K;
        low = least > most ? __longlong_as_double(0x7ff8000000000000LL) : ctk_unkey<CTK_IN>::wide(K(least));
        high = least > most ? low : ctk_unkey<CTK_IN>::wide(K(most));
    }
    if (lane) return;
    if (kind == 2) {
        low = quantiles[2LL * image];
        high = quantiles[2LL * image + 1];
    }
    ctk_set_range(parameters + (long long)image * CTK_PARAMETERS, low, high, low_out, rise);
}

// Three blocks a multiprocessor: left alone, ptxas aims at more, and spills around the divisions of the rare modes.
#define CTK_NORMALIZE(NAME, OUT)                                                                                         \
    extern "C" __global__ void __launch_bounds__(256, 3)                                                                 \
    ctk_normalize_map_##NAME(const CTK_IN* __restrict__ x, OUT* __restrict__ out, long long pixels, int images,          \
                             const double* __restrict__ parameters, double low, double high, float lowest, float highest,    \
                             int clip) {                                                                                 \
        ctk_map_ranges(x, out, pixels, images, parameters, low, high, lowest, highest, clip);                            \
    }

CTK_NORMALIZE(float32, float)
CTK_NORMALIZE(uint8, unsigned char)
CTK_NORMALIZE(uint16, unsigned short)
