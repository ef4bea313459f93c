// CLAHE's last step for a whole batch, for the kernel that only blends and the one that counts what comes out too.
#pragma once
#include "clahe_blend.cuh"

// The kernel's arguments are those of ctk_clahe_blend. seen(pixel) is called for every result, done(image) by all threads
// of a block after its part of an image.
template <typename S, typename D>
__device__ __forceinline__ void ctk_blend_batch(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out,
                                                const ctk_u16* __restrict__ extents, const ctk_level* __restrict__ tables,
                                                const int* __restrict__ starts, long long images, int height, int width, int tiles_y,
                                                int tiles_x, float per_row, float per_column, const ctk_bin_setting& bins,
                                                int has_extents, int capacity, S seen, D done) {
    extern __shared__ __align__(16) unsigned char shared[];
    __shared__ ctk_binner<ctk_pixel> kept;
    ctk_entry* entries = reinterpret_cast<ctk_entry*>(shared);
    const int b = int(blockIdx.x) / (tiles_x + 1), c = int(blockIdx.x) % (tiles_x + 1), tiles = tiles_y * tiles_x;
    const int *rows = starts + b, *columns = starts + tiles_y + 2 + c;
    const ctk_blend_block block = {rows[0], rows[1], columns[0], columns[1], per_row, per_column, width};
    if (block.y0 == block.y1 || block.x0 == block.x1) return;
    const int upper = max(b - 1, 0) * tiles_x, lower = min(b, tiles_y - 1) * tiles_x;
    const int left = max(c - 1, 0), right = min(c, tiles_x - 1);
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        const ctk_binner<ctk_pixel> binner = ctk_binner_of(bins, image, &kept);
        const ctk_pixel* source = x + image * height * width;
        ctk_pixel* result = out + image * height * width;
        if (binner.flat()) {
            ctk_blend(block, source, result, [&](ctk_pixel, float, float, float, float) { return ctk_pixel(binner.low); }, seen);
            done(image);
            continue;
        }
        int first = 0, last = bins.nbins - 1;
        if (has_extents) {
            const ctk_u16* ends = extents + 2 * image * tiles;
            const int near[4] = {upper + left, upper + right, lower + left, lower + right};
            first = bins.nbins - 1, last = 0;
#pragma unroll
            for (int k = 0; k < 4; ++k) first = min(first, int(ends[2 * near[k]])), last = max(last, int(ends[2 * near[k] + 1]));
        }
        const ctk_level* at = tables + image * tiles * bins.nbins;
        const ctk_level *p = at + (long long)(upper + left) * bins.nbins, *q = at + (long long)(upper + right) * bins.nbins;
        const ctk_level *r = at + (long long)(lower + left) * bins.nbins, *s = at + (long long)(lower + right) * bins.nbins;
        if (last - first < capacity) {
            for (int k = first + int(threadIdx.x); k <= last; k += CTK_THREADS) entries[k - first] = ctk_packed(p[k], q[k], r[k], s[k]);
            __syncthreads();
            ctk_blend(block, source, result, [&](ctk_pixel v, float u, float xa, float d, float ya) {
                return ctk_blended(binner, entries[binner.bin(v) - first], u, xa, d, ya);
            }, seen);
        } else {
            ctk_blend(block, source, result, [&](ctk_pixel v, float u, float xa, float d, float ya) {
                const int k = binner.bin(v);
                return ctk_blended(binner, ctk_packed(p[k], q[k], r[k], s[k]), u, xa, d, ya);
            }, seen);
        }
        done(image);
    }
}
