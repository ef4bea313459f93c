// Gaussian smoothing of volumes: a band of rows of all planes at a time, smoothed in each plane through shared memory, then
// summed along the planes. What is between is scratch memory of float sums. The order of the sums is that of the CPU
// backend.
//
// CTK_IN: type of the voxels. CTK_PIXEL: of the sums, float or for double voxels double.
#include "smooth.cuh"

// Rows first_row .. first_row + rows - 1 of each plane to `sums`, (planes, rows, width). blockDim (32, CTK_WARPS); grid (tiles
// of the band, planes up to 65535). images: planes of all volumes; the others and dynamic shared memory as of
// ctk_gaussian_tile.
extern "C" __global__ void __launch_bounds__(32 * CTK_WARPS, 2)
ctk_gaussian_slices(const CTK_IN* __restrict__ x, ctk_sum* __restrict__ sums, long long images, int height, int width, int first_row,
                    int rows, const ctk_sum* __restrict__ weights, int ry, int rx, int modes, double outside, int tile_h, int tile_w) {
    extern __shared__ __align__(16) unsigned char shared[];
    const ctk_smooth_tile tile = ctk_smooth_layout(shared, ry, rx, tile_h, tile_w);
    const int tiles_x = (width + tile_w - 1) / tile_w;
    const int x0 = int(blockIdx.x) % tiles_x * tile_w, y0 = int(blockIdx.x) / tiles_x * tile_h;
    ctk_load_weights(tile, weights);
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        ctk_smooth_from(tile, x + image * height * width, height, width, x0, first_row + y0, modes, outside, [](CTK_IN v) { return v; });
        ctk_write_tile(tile, sums + image * rows * width, rows, width, x0, y0);
        __syncthreads();
    }
}

// Along the planes; one thread sums CTK_RUN planes of one pixel. `pixels`: of a plane's band, `plane`: of a whole plane;
// `out` begins with the band. block 256; grid (ceil(pixels / 256), volumes * ceil(depth / CTK_RUN) up to 65535).
extern "C" __global__ void __launch_bounds__(256, 2)
ctk_gaussian_planes(const ctk_sum* __restrict__ sums, CTK_IN* __restrict__ out, long long volumes, int depth, long long pixels,
                    long long plane, const ctk_sum* __restrict__ weights, int rz, int mode, double outside) {
    const long long at = (long long)blockIdx.x * 256 + int(threadIdx.x);
    if (at >= pixels) return;
    const ctk_sum cval = ctk_sum(outside);
    const int runs = (depth + CTK_RUN - 1) / CTK_RUN;
    for (long long run = blockIdx.y; run < volumes * runs; run += gridDim.y) {
        const long long volume = run / runs;
        const int z0 = int(run % runs) * CTK_RUN;
        const ctk_sum* source = sums + volume * depth * pixels + at;
        ctk_sum total[CTK_RUN];
        ctk_slide(total, weights, rz, [&](int k) {
            const int z = ctk_border(z0 + k, depth, mode);
            return z < 0 ? cval : source[z * pixels];
        });
        CTK_IN* result = out + volume * depth * plane + at;
#pragma unroll
        for (int k = 0; k < CTK_RUN; ++k)
            if (z0 + k < depth) result[(z0 + k) * plane] = ctk_rounded<CTK_IN>::of(total[k]);
    }
}
