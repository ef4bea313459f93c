// CLAHE (Zuiderveld 1994) with the results of cv2.createCLAHE: histograms of tiles, clipped, spread and summed into tables
// of levels; every pixel blends the tables of its four nearest tiles. CTK_PIXEL: type of the images.
//
// Histograms of any number of bins go through CTK_WINDOW counters in shared memory, 4096 bins at a time: a tile is small
// enough to be read again from cache, and counters in global memory would be 256 KiB a tile at 65,536 bins.
#include "border.cuh"
#include "clahe_batch.cuh"
#include "clahe_bins.cuh"
#include "clahe_tables.cuh"
#include "quads.cuh"

// Smallest and largest key of a part of each image, finite pixels only. grid (parts, images up to 65535).
extern "C" __global__ void __launch_bounds__(CTK_THREADS, 4)
ctk_clahe_range(const ctk_pixel* __restrict__ x, ctk_range_key* __restrict__ partials, long long images, long long pixels) {
    __shared__ ctk_range_key lows[CTK_THREADS / 32], highs[CTK_THREADS / 32];
    const int t = int(threadIdx.x);
    const ctk_range_key above = ctk_finite<ctk_pixel>::above();
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        const ctk_pixel* source = x + image * pixels;
        ctk_range_key low = above, high = -above;
        const bool whole = pixels % 4 == 0 && ctk_quads_fit(x, 4);
        const long long quads = whole ? pixels / 4 : 0, step = (long long)gridDim.x * CTK_THREADS;
        const long long first = (long long)blockIdx.x * CTK_THREADS + t;
        for (long long k = first; k < quads; k += step) {
            const ctk_quad<ctk_pixel> q = ctk_load_quad(source + 4 * k);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const ctk_range_key key = ctk_sorted(q.at[i]);
                const bool counts = ctk_finite<ctk_pixel>::is(key);
                low = counts && key < low ? key : low;
                high = counts && key > high ? key : high;
            }
        }
        for (long long k = 4 * quads + first; k < pixels; k += step) {
            const ctk_range_key key = ctk_sorted(source[k]);
            const bool counts = ctk_finite<ctk_pixel>::is(key);
            low = counts && key < low ? key : low;
            high = counts && key > high ? key : high;
        }
        low = ctk_warp_min(low);
        high = ctk_warp_max(high);
        __syncthreads();
        if ((t & 31) == 0) lows[t / 32] = low, highs[t / 32] = high;
        __syncthreads();
        if (t == 0) {
            for (int w = 1; w < CTK_THREADS / 32; ++w) {
                low = lows[w] < low ? lows[w] : low;
                high = highs[w] > high ? highs[w] : high;
            }
            ctk_range_key* p = partials + 2 * (image * gridDim.x + blockIdx.x);
            p[0] = low;
            p[1] = high;
        }
    }
}

// First and last bin of each tile, for many bins: only what occurs near a tile is then written to its table.
// grid (tiles, images up to 65535).
extern "C" __global__ void __launch_bounds__(CTK_THREADS, 4)
ctk_clahe_extents(const ctk_pixel* __restrict__ x, ctk_u16* __restrict__ extents, long long images, int height, int width,
                  int tile_h, int tile_w, int tiles_x, const ctk_range_key* __restrict__ partials, int parts, int nbins,
                  double low, double high) {
    __shared__ ctk_binner<ctk_pixel> kept;
    __shared__ int ends[2];
    const ctk_tile_place tile = {int(blockIdx.x) / tiles_x * tile_h, int(blockIdx.x) % tiles_x * tile_w, tile_h, tile_w, height, width};
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        const ctk_binner<ctk_pixel> binner = ctk_binner_of({partials, parts, nbins, low, high}, image, &kept);
        if (threadIdx.x == 0) ends[0] = nbins - 1, ends[1] = 0;
        __syncthreads();
        int first = nbins - 1, last = 0;
        if (!binner.flat()) {
            ctk_tile_pixels(tile, x + image * height * width, [&](ctk_pixel v) {
                const int b = binner.bin(v);
                first = min(first, b);
                last = max(last, b);
            });
        }
        __syncwarp();
        first = ctk_warp_min(first);
        last = ctk_warp_max(last);
        if ((threadIdx.x & 31) == 0) {
            atomicMin(&ends[0], first);
            atomicMax(&ends[1], last);
        }
        __syncthreads();
        if (threadIdx.x < 2) extents[2 * (image * gridDim.x + blockIdx.x) + threadIdx.x] = ctk_u16(ends[threadIdx.x]);
    }
}

// The tables of one tile. limit: most pixels a bin keeps. has_extents: whether `extents` was made.
// grid (tiles, images up to 65535).
extern "C" __global__ void __launch_bounds__(CTK_THREADS, 3)
ctk_clahe_tables(const ctk_pixel* __restrict__ x, const ctk_u16* __restrict__ extents, ctk_level* __restrict__ tables,
                 long long images, int height, int width, int tile_h, int tile_w, int tiles_y, int tiles_x,
                 const ctk_range_key* __restrict__ partials, int parts, int nbins, double low, double high, int limit,
                 int has_extents) {
    __shared__ ctk_binner<ctk_pixel> kept;
    __shared__ ctk_table_memory memory;
    const int j = int(blockIdx.x) / tiles_x, i = int(blockIdx.x) % tiles_x;
    const ctk_tile_place tile = {j * tile_h, i * tile_w, tile_h, tile_w, height, width};
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        const ctk_binner<ctk_pixel> binner = ctk_binner_of({partials, parts, nbins, low, high}, image, &kept);
        if (binner.flat()) continue;
        ctk_table_span span = {0, nbins - 1, 0, nbins - 1};
        if (has_extents) span = ctk_span_near(extents + 2 * image * gridDim.x, j, i, tiles_y, tiles_x);
        ctk_table_rule rule = {nbins, limit, tile_h * tile_w, ctk_level_span(binner)};
        const ctk_pixel* source = x + image * height * width;
        ctk_make_table(memory, span, rule, tables + (image * gridDim.x + blockIdx.x) * nbins, [&](int first, int banks) {
            ctk_count_window(memory, tile, source, binner, first, banks, nbins);
        });
    }
}

// Lookup, blend and cast of the pixels between the same four tile centres. starts: where these blocks begin, rows
// (tiles_y + 2 numbers) then columns. capacity: entries that the dynamic shared memory holds.
// grid ((tiles_y + 1) * (tiles_x + 1), images up to 65535).
extern "C" __global__ void __launch_bounds__(CTK_THREADS, 3)
ctk_clahe_blend(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, const ctk_u16* __restrict__ extents,
                const ctk_level* __restrict__ tables, const int* __restrict__ starts, long long images, int height, int width,
                int tiles_y, int tiles_x, float per_row, float per_column, const ctk_range_key* __restrict__ partials,
                int parts, int nbins, double low, double high, int has_extents, int capacity) {
    ctk_blend_batch(x, out, extents, tables, starts, images, height, width, tiles_y, tiles_x, per_row, per_column,
                    {partials, parts, nbins, low, high}, has_extents, capacity, [](ctk_pixel) {}, [](long long) {});
}
