// Integer images whose histogram becomes a reference's: of each value's count a level, which the pixels look up.
// CTK_IN: type of the images.
#include "match.cuh"

typedef CTK_IN ctk_in;

#define CTK_EACH 8  // values of a thread

// counts, levels: `span` of each image, one for each value of the type. Values from `first` to `last` count. A block sums
// what lies before its own values anew, out of the level-2 cache, so that no block waits for another.
// grid (ceil(span / (256 * CTK_EACH)), images up to 65535), block 256.
extern "C" __global__ void __launch_bounds__(256)
ctk_match_levels(const long long* __restrict__ counts, double* __restrict__ levels, int images, int span, int first, int last,
                 const double* __restrict__ shares, const double* __restrict__ values, int knots) {
    __shared__ long long room[8];
    const ctk_reference reference = {shares, values, knots};
    const int begin = int(blockIdx.x) * 256 * CTK_EACH, thread = int(threadIdx.x);
    for (int image = int(blockIdx.y); image < images; image += int(gridDim.y)) {
        const long long* const mine = counts + (long long)image * span;
        long long before = 0, total = 0;
        for (int v = thread; v < span; v += 256) {
            const long long n = v >= first && v <= last ? mine[v] : 0;
            total += n;
            before += v < begin ? n : 0;
        }
        total = ctk_block_sum(total, room);
        before = ctk_block_sum(before, room);
        const int own = begin + thread * CTK_EACH;
        long long up[CTK_EACH], sum = 0;
#pragma unroll
        for (int k = 0; k < CTK_EACH; k++) {
            const int v = own + k;
            sum += v < span && v >= first && v <= last ? mine[v] : 0;
            up[k] = sum;
        }
        const long long through = ctk_warp_scan(sum);
        __syncthreads();  // the sums are read
        if ((thread & 31) == 31) room[thread >> 5] = through;
        __syncthreads();
        before += through - sum;
        for (int w = 0; w < thread >> 5; w++) before += room[w];
#pragma unroll
        for (int k = 0; k < CTK_EACH; k++)
            if (own + k < span) levels[(long long)image * span + own + k] = ctk_level(reference, before + up[k], total);
    }
}

// Four blocks a multiprocessor: left alone, ptxas aims at eight and spills.
#define CTK_MATCH(NAME, OUT)                                                                                             \
    extern "C" __global__ void __launch_bounds__(256, 4)                                                                 \
    ctk_match_look_up_##NAME(const ctk_in* __restrict__ x, OUT* __restrict__ out, long long pixels, int images, int span,    \
                             const double* __restrict__ levels) {                                                        \
        for (int image = int(blockIdx.y); image < images; image += int(gridDim.y)) {                                     \
            const double* const mine = levels + (long long)image * span + (ctk_in(-1) < ctk_in(0) ? 32768 : 0);          \
            ctk_map<1>(x, out, image * pixels, pixels, [&](const auto& in, auto& result) {                               \
                _Pragma("unroll") for (int i = 0; i < int(sizeof(in) / sizeof(in[0])); i++)                              \
                    result[i] = ctk_result<OUT>::store(__ldg(mine + int(in[i])));                                        \
            });                                                                                                          \
        }                                                                                                                \
    }

CTK_MATCH(float32, float)
CTK_MATCH(float64, double)
CTK_MATCH(int16, short)
CTK_MATCH(uint8, ctk_u8)
CTK_MATCH(uint16, ctk_u16)
