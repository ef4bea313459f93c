// Medians of small windows of volumes, by networks: median_filter.cu with rows of several planes in a tile.
//
// CTK_PIXEL: type of the voxels. CTK_PLANES, CTK_ROWS, CTK_COLUMNS: window. CTK_THREAD_ROWS is 1. CTK_WORD_ROWS: most rows of
// words of a tile, fewer than of images, so that all planes fit 48 KB. CTK_LANES as there.
#include "median_tile.cuh"

// blockDim (32, CTK_WARPS); grid (tiles of a plane, planes up to 65535). images: planes of all volumes; depth: of one.
// word_rows: rows of words in a tile, CTK_WORD_ROWS at most.
extern "C" __global__ void __launch_bounds__(32 * CTK_WARPS)
ctk_median_volume(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, long long images, int depth, int height, int width,
                  int mode, double outside, int word_rows) {
    ctk_median_batch(x, out, images, depth, height, width, mode, outside, word_rows, [](ctk_pixel v) { return v; });
}
