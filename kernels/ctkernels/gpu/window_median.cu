// A window and the median of its result in one launch: the windowed image is never written.
// CTK_IN: type of the images; CTK_PIXEL: of the windowed ones. The others as in median_filter.cu.
#include "line_enter.cuh"
#include "median_tile.cuh"

// Geometry as for ctk_median_network; `outside` is in the units of the result.
extern "C" __global__ void __launch_bounds__(32 * CTK_WARPS)
ctk_window_median(const CTK_IN* __restrict__ x, ctk_pixel* __restrict__ out, long long images, int height, int width, int mode,
                  double outside, int word_rows, double base, float scale, float offset, float lowest, float highest) {
    const ctk_line line = {base, scale, offset, lowest, highest};
    ctk_median_batch(x, out, images, 1, height, width, mode, outside, word_rows,
                     [&](CTK_IN v) { return ctk_on_line<ctk_pixel>(v, line); });
}
