// Float images whose histogram becomes a reference's: the keys of the pixels that count are sorted, and each pixel finds by
// halving how many lie at or below it. CTK_IN: type of the images.
//
// The sort is Batcher's bitonic one, on a power of two of keys an image: no counters, no memory besides the keys, and the
// same steps whatever the pixels are. Steps within CTK_TILE keys are done in shared memory, many of them in one launch.
#include "match.cuh"

#define CTK_TILE 2048

typedef ctk_keys<CTK_IN>::type ctk_sort_key;

// Beyond the key of every number.
__device__ __forceinline__ int ctk_last(int) { return 0x7fffffff; }
__device__ __forceinline__ long long ctk_last(long long) { return 0x7fffffffffffffffLL; }
// Both zeros are one value: -1 is the key of -0 alone.
__device__ __forceinline__ ctk_sort_key ctk_number(CTK_IN v) {
    const ctk_sort_key key = ctk_key(v);
    return key == -1 ? 0 : key;
}

// Keys of the pixels that count, from begin to end, and the last key in all other places. grid (tiles of all images), block 256.
extern "C" __global__ void __launch_bounds__(256)
ctk_match_keys(const CTK_IN* __restrict__ x, long long pixels, long long tiles, ctk_sort_key begin, ctk_sort_key end,
               ctk_sort_key* __restrict__ keys) {
    const long long image = blockIdx.x / tiles;
    const long long first = blockIdx.x % tiles * CTK_TILE;
    for (int i = int(threadIdx.x); i < CTK_TILE; i += 256) {
        ctk_sort_key key = ctk_last(begin);
        if (first + i < pixels) {
            const CTK_IN v = __ldg(x + image * pixels + first + i);
            if (ctk_key(v) >= begin && ctk_key(v) <= end) key = ctk_number(v);
        }
        keys[(image * tiles * CTK_TILE) + first + i] = key;
    }
}

// The pair `p` of a step: keys `stride` apart, rising where bit `size` of the place within the image is 0.
struct ctk_pair { long long low, high; };
__device__ __forceinline__ ctk_pair ctk_pair_of(long long p, long long stride, bool rising) {
    const long long a = p / stride * 2 * stride + p % stride;
    return rising ? ctk_pair{a, a + stride} : ctk_pair{a + stride, a};
}
__device__ __forceinline__ void ctk_exchange(ctk_sort_key* keys, const ctk_pair& at) {
    const ctk_sort_key a = keys[at.low], b = keys[at.high];
    if (a > b) {
        keys[at.low] = b;
        keys[at.high] = a;
    }
}

// All steps whose keys lie within a tile, for runs of `from` to `to` keys. grid (tiles of all images), block 256.
extern "C" __global__ void __launch_bounds__(256)
ctk_match_sort_tiles(ctk_sort_key* __restrict__ keys, long long tiles, long long from, long long to) {
    __shared__ ctk_sort_key tile[CTK_TILE];
    ctk_sort_key* const mine = keys + (long long)blockIdx.x * CTK_TILE;
    const long long place = blockIdx.x % tiles * CTK_TILE;
    for (int i = int(threadIdx.x); i < CTK_TILE; i += 256) tile[i] = mine[i];
    for (long long size = from; size <= to; size *= 2) {
        for (long long stride = size / 2 < CTK_TILE / 2 ? size / 2 : CTK_TILE / 2; stride > 0; stride /= 2) {
            __syncthreads();
            for (int p = int(threadIdx.x); p < CTK_TILE / 2; p += 256) {
                const ctk_pair at = ctk_pair_of(p, stride, true);
                ctk_exchange(tile, ctk_pair_of(p, stride, ((place + at.low) & size) == 0));
            }
        }
    }
    __syncthreads();
    for (int i = int(threadIdx.x); i < CTK_TILE; i += 256) mine[i] = tile[i];
}

// One step of keys further apart. grid (pairs of all images / 256), block 256.
extern "C" __global__ void __launch_bounds__(256)
ctk_match_sort_step(ctk_sort_key* __restrict__ keys, long long padded, long long stride, long long size) {
    const long long p = (long long)blockIdx.x * 256 + threadIdx.x;
    const ctk_pair at = ctk_pair_of(p, stride, true);
    ctk_exchange(keys, ctk_pair_of(p, stride, ((at.low & (padded - 1)) & size) == 0));
}

// How many of the rising keys are below `key`, or not above it.
template <bool WITH> __device__ __forceinline__ long long ctk_up_to(const ctk_sort_key* __restrict__ keys, long long number, ctk_sort_key key) {
    long long low = 0, high = number;
    while (low < high) {
        const long long middle = (low + high) / 2;
        const ctk_sort_key k = __ldg(keys + middle);
        if (WITH ? k <= key : k < key) low = middle + 1;
        else high = middle;
    }
    return low;
}

// grid (ceil(pixels / 256), images up to 65535), block 256.
#define CTK_MATCH(NAME, OUT)                                                                                             \
    extern "C" __global__ void __launch_bounds__(256)                                                                    \
    ctk_match_ranks_##NAME(const CTK_IN* __restrict__ x, OUT* __restrict__ out, long long pixels, int images,            \
                           const ctk_sort_key* __restrict__ keys, long long padded, const double* __restrict__ shares,   \
                           const double* __restrict__ values, int knots) {                                               \
        const ctk_reference reference = {shares, values, knots};                                                         \
        const double nothing = ctk_is_float<OUT>::value ? __longlong_as_double(0x7ff8000000000000LL) : __ldg(values);    \
        for (int image = int(blockIdx.y); image < images; image += int(gridDim.y)) {                                     \
            const ctk_sort_key* const mine = keys + image * padded;                                                      \
            const long long total = ctk_up_to<false>(mine, padded, ctk_last(ctk_sort_key(0)));                           \
            ctk_map_each(x, out, image * pixels, pixels, [&](CTK_IN v) {                                                 \
                if (ctk_is_nan(v)) return ctk_result<OUT>::store(nothing);                                               \
                return ctk_result<OUT>::store(ctk_level(reference, ctk_up_to<true>(mine, total, ctk_number(v)), total)); \
            });                                                                                                          \
        }                                                                                                                \
    }

CTK_MATCH(float32, float)
CTK_MATCH(float64, double)
CTK_MATCH(int16, short)
CTK_MATCH(uint8, ctk_u8)
CTK_MATCH(uint16, ctk_u16)
