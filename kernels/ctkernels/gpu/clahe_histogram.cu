// CLAHE's lookup, blend and cast, and the histogram of what comes out, in one launch. For uint8, whose 256 values are
// counted in shared memory and then added up into the histogram's bins.
#define CTK_PIXEL unsigned char
#include "clahe_batch.cuh"

// As ctk_clahe_blend; bin_of: the bin of each value, -1 for none; counts: `count` bins an image, cleared before.
extern "C" __global__ void __launch_bounds__(CTK_THREADS, 3)
ctk_clahe_blend_count(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, const ctk_u16* __restrict__ extents,
                      const ctk_level* __restrict__ tables, const int* __restrict__ starts, long long images, int height, int width,
                      int tiles_y, int tiles_x, float per_row, float per_column, const ctk_range_key* __restrict__ partials,
                      int parts, int nbins, double low, double high, int has_extents, int capacity,
                      const int* __restrict__ bin_of, long long* __restrict__ counts, int count) {
    __shared__ int values[CTK_THREADS / 32][256];  // one for each warp
    const int t = int(threadIdx.x), warp = t / 32;
#pragma unroll
    for (int w = 0; w < CTK_THREADS / 32; ++w) values[w][t] = 0;
    ctk_blend_batch(
        x, out, extents, tables, starts, images, height, width, tiles_y, tiles_x, per_row, per_column,
        {partials, parts, nbins, low, high}, has_extents, capacity,
        [&](ctk_pixel v) { atomicAdd(&values[warp][v], 1); },
        [&](long long image) {
            __syncthreads();
            int total = 0;
#pragma unroll
            for (int w = 0; w < CTK_THREADS / 32; ++w) {
                total += values[w][t];
                values[w][t] = 0;
            }
            const int bin = bin_of[t];
            if (total > 0 && bin >= 0) atomicAdd(reinterpret_cast<ctk_u64*>(counts) + image * count + bin, ctk_u64(total));
        });
}
