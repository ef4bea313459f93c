// A window and the Gaussian of its result in one launch: the windowed image is never written.
// CTK_IN: type of the images; CTK_PIXEL: of the windowed ones.
#include "line_enter.cuh"
#include "smooth.cuh"

// Geometry as for ctk_gaussian_tile; `outside` is in the units of the result.
extern "C" __global__ void __launch_bounds__(32 * CTK_WARPS, 2)
ctk_window_gaussian(const CTK_IN* __restrict__ x, ctk_pixel* __restrict__ out, long long images, int height, int width,
                    const ctk_sum* __restrict__ weights, int ry, int rx, int modes, double outside, int tile_h, int tile_w,
                    double base, float scale, float offset, float lowest, float highest) {
    const ctk_line line = {base, scale, offset, lowest, highest};
    ctk_smooth_batch(x, out, images, height, width, weights, ry, rx, modes, outside, tile_h, tile_w,
                     [&](CTK_IN v) { return ctk_on_line<ctk_pixel>(v, line); });
}
