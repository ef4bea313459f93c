// Medians of small windows: the network of _core/median_network.py in registers, fed from a tile in shared memory.
//
// CTK_PIXEL: type of the images. CTK_ROWS, CTK_COLUMNS: window. CTK_THREAD_ROWS: rows of medians of a thread.
// CTK_LANES: 2 packs two pixels of 8 or 16 bits into a word, which processors from sm_90 on compare at once (1075 billion
// pixels a second that an H200 can copy are more than it can sort one by one). The two lanes are the upper and the lower
// half of the tile's rows, so that words need no shifting from one column to the next.
#include "median_tile.cuh"

// blockDim (32, CTK_WARPS); grid (tiles of an image, images up to 65535). word_rows: rows of words in a tile, a multiple of
// 4, CTK_WORD_ROWS at most.
extern "C" __global__ void __launch_bounds__(32 * CTK_WARPS)
ctk_median_network(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, long long images, int height, int width,
                   int mode, double outside, int word_rows) {
    ctk_median_batch(x, out, images, 1, height, width, mode, outside, word_rows, [](ctk_pixel v) { return v; });
}
