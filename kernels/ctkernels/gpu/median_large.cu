// Medians of windows that no network serves, by histograms of the keys' bytes. CTK_PIXEL: type of the images.
#include "median_walk.cuh"

// blockDim (32, CTK_WARPS); grid (tiles of CTK_TILE columns and tile_rows rows, images up to 65535). Dynamic shared memory:
// the histograms, tile_rows rows of results, the tile of keys.
extern "C" __global__ void __launch_bounds__(32 * CTK_WARPS, 4)
ctk_median_tiles(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, long long images, int height, int width,
                 int rows, int columns, int mode, double outside, int tile_rows) {
    ctk_tiles_batch<false>(x, out, images, 1, height, width, 1, rows, columns, mode, outside, tile_rows);
}

// blockDim (32, CTK_WARPS); grid (CTK_WARPS columns and run_rows rows a block, images up to 65535).
extern "C" __global__ void __launch_bounds__(32 * CTK_WARPS, 4)
ctk_median_columns(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, long long images, int height, int width,
                   int rows, int columns, int mode, double outside, int run_rows) {
    ctk_columns_batch<false>(x, out, images, 1, height, width, 1, rows, columns, mode, outside, run_rows);
}
