// Medians of windows of volumes that no network serves, by histograms of the keys' bytes. CTK_PIXEL: type of the voxels.
#include "median_walk.cuh"

// As ctk_median_tiles; images: planes of all volumes, depth: of one, planes: of the window.
extern "C" __global__ void __launch_bounds__(32 * CTK_WARPS, 4)
ctk_median_volume_tiles(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, long long images, int depth, int height,
                        int width, int planes, int rows, int columns, int mode, double outside, int tile_rows) {
    ctk_tiles_batch<true>(x, out, images, depth, height, width, planes, rows, columns, mode, outside, tile_rows);
}

// As ctk_median_columns.
extern "C" __global__ void __launch_bounds__(32 * CTK_WARPS, 4)
ctk_median_volume_columns(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, long long images, int depth, int height,
                          int width, int planes, int rows, int columns, int mode, double outside, int run_rows) {
    ctk_columns_batch<true>(x, out, images, depth, height, width, planes, rows, columns, mode, outside, run_rows);
}
