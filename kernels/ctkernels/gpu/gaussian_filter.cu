// Gaussian smoothing in one launch: a tile with its halo in shared memory, down the columns, then along the rows.
//
// Radii and weights are arguments, so that no sigma needs a compilation. A thread sums CTK_RUN neighbours at once and
// keeps a window of pixels in registers that slides by one pixel a tap: two loads for CTK_RUN additions and CTK_RUN fused
// multiply-adds. The order of the sums is that of the CPU backend: w[0] c, then + w[j] (before + after), j rising.
//
// CTK_PIXEL: type of the images. Sums are float, of float64 images double.
#include "border.cuh"
#include "common.cuh"
#include "quads.cuh"
#include "smooth.cuh"

// blockDim (32, CTK_WARPS); grid (tiles of an image, images up to 65535). weights: both half kernels, centre first, rows
// then columns. tile_w, tile_h: multiples of CTK_RUN and 32. Dynamic shared memory: `smooth_bytes` of geometry_filters.py.
extern "C" __global__ void __launch_bounds__(32 * CTK_WARPS, 2)
ctk_gaussian_tile(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, long long images, int height, int width,
                  const ctk_sum* __restrict__ weights, int ry, int rx, int modes, double outside, int tile_h, int tile_w) {
    ctk_smooth_batch(x, out, images, height, width, weights, ry, rx, modes, outside, tile_h, tile_w, [](ctk_pixel v) { return v; });
}

// The two passes for radii whose tile no shared memory holds. One thread sums CTK_RUN rows of a column.
// grid (ceil(width / 256) * ceil(height / CTK_RUN), images up to 65535), block 256.
extern "C" __global__ void __launch_bounds__(256, 2)
ctk_gaussian_columns(const ctk_pixel* __restrict__ x, ctk_sum* __restrict__ sums, long long images, int height, int width,
                     const ctk_sum* __restrict__ weights, int ry, int mode, double outside) {
    const int across = (width + 255) / 256;
    const int column = int(blockIdx.x) % across * 256 + int(threadIdx.x), y0 = int(blockIdx.x) / across * CTK_RUN;
    if (column >= width) return;
    const ctk_sum cval = ctk_fill(outside);
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        const ctk_pixel* source = x + image * height * width;
        ctk_sum total[CTK_RUN];
        ctk_slide(total, weights, ry, [&](int k) {
            const int y = ctk_border(y0 + k, height, mode);
            return y < 0 ? cval : ctk_sum(source[(long long)y * width + column]);
        });
#pragma unroll
        for (int k = 0; k < CTK_RUN; ++k)
            if (y0 + k < height) sums[(image * height + y0 + k) * width + column] = total[k];
    }
}

// grid (ceil(width / 256) * height, images up to 65535), block 256.
extern "C" __global__ void __launch_bounds__(256, 2)
ctk_gaussian_rows(const ctk_sum* __restrict__ sums, ctk_pixel* __restrict__ out, long long images, int height, int width,
                  const ctk_sum* __restrict__ weights, int rx, int mode, double outside) {
    const int across = (width + 255) / 256;
    const int column = int(blockIdx.x) % across * 256 + int(threadIdx.x), y = int(blockIdx.x) / across;
    if (column >= width) return;
    const ctk_sum cval = ctk_fill(outside);
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        const ctk_sum* row = sums + (image * height + y) * width;
        ctk_sum total = ctk_times(weights[0], row[column]);
        for (int j = 1; j <= rx; ++j) {
            const int a = ctk_border(column - j, width, mode), b = ctk_border(column + j, width, mode);
            total = ctk_tap(weights[j], a < 0 ? cval : row[a], b < 0 ? cval : row[b], total);
        }
        out[(image * height + y) * width + column] = ctk_rounded<ctk_pixel>::of(total);
    }
}
