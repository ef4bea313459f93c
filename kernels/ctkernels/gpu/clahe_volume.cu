// CLAHE of volumes: histograms of boxes, clipped, spread and summed into tables of levels as those of images' tiles. A plane
// lies between the centres of two layers of boxes; its tables are theirs, blended by the plane's place, and then blended
// over the plane as those of an image. CTK_PIXEL: type of the voxels.
#include "clahe_blend.cuh"

// Voxels and number of a box; beyond the volume lies OpenCV's padding, a mirror, along planes too.
struct ctk_box_place {
    ctk_tile_place tile;
    int z, planes, depth;
    __device__ __forceinline__ const ctk_pixel* plane(const ctk_pixel* __restrict__ volume, int k) const {
        return volume + (long long)ctk_border(z + k, depth, CTK_MIRROR) * tile.height * tile.width;
    }
};
struct ctk_boxes { int z, y, x; };
__device__ __forceinline__ ctk_box_place ctk_box_of(int number, const ctk_boxes& grid, int depth, int height, int width, int tile_d,
                                                    int tile_h, int tile_w) {
    const int i = number % grid.x, j = number / grid.x % grid.y, k = number / (grid.x * grid.y);
    return {{j * tile_h, i * tile_w, tile_h, tile_w, height, width}, k * tile_d, tile_d, depth};
}

// First and last bin of each box, for many bins. grid (boxes, volumes up to 65535).
extern "C" __global__ void __launch_bounds__(CTK_THREADS, 4)
ctk_clahe_box_extents(const ctk_pixel* __restrict__ x, ctk_u16* __restrict__ extents, long long volumes, int depth, int height, int width,
                      int tile_d, int tile_h, int tile_w, int tiles_z, int tiles_y, int tiles_x,
                      const ctk_range_key* __restrict__ partials, int parts, int nbins, double low, double high) {
    __shared__ ctk_binner<ctk_pixel> kept;
    __shared__ int ends[2];
    const ctk_box_place box = ctk_box_of(int(blockIdx.x), {tiles_z, tiles_y, tiles_x}, depth, height, width, tile_d, tile_h, tile_w);
    for (long long volume = blockIdx.y; volume < volumes; volume += gridDim.y) {
        const ctk_binner<ctk_pixel> binner = ctk_binner_of({partials, parts, nbins, low, high}, volume, &kept);
        const ctk_pixel* source = x + volume * depth * height * width;
        if (threadIdx.x == 0) ends[0] = nbins - 1, ends[1] = 0;
        __syncthreads();
        int first = nbins - 1, last = 0;
        if (!binner.flat()) {
            for (int k = 0; k < box.planes; ++k) {
                ctk_tile_pixels(box.tile, box.plane(source, k), [&](ctk_pixel v) {
                    const int b = binner.bin(v);
                    first = min(first, b);
                    last = max(last, b);
                });
            }
        }
        __syncwarp();
        first = ctk_warp_min(first);
        last = ctk_warp_max(last);
        if ((threadIdx.x & 31) == 0) {
            atomicMin(&ends[0], first);
            atomicMax(&ends[1], last);
        }
        __syncthreads();
        if (threadIdx.x < 2) extents[2 * (volume * gridDim.x + blockIdx.x) + threadIdx.x] = ctk_u16(ends[threadIdx.x]);
    }
}

// What a box and its neighbours have of bins; `extents` are those of the volume's boxes.
__device__ __forceinline__ ctk_table_span ctk_span_around(const ctk_u16* extents, int number, const ctk_boxes& grid) {
    const int layer = grid.y * grid.x, k = number / layer;
    ctk_table_span s = {extents[2 * number], extents[2 * number + 1], 65535, 0};
    for (int c = max(k - 1, 0); c <= min(k + 1, grid.z - 1); ++c) {
        const ctk_table_span near = ctk_span_near(extents + 2 * c * layer, number % layer / grid.x, number % grid.x, grid.y, grid.x);
        s.first = min(s.first, near.first);
        s.last = max(s.last, near.last);
    }
    return s;
}

// The tables of one box. limit: most voxels a bin keeps. has_extents: whether `extents` was made.
// grid (boxes, volumes up to 65535).
extern "C" __global__ void __launch_bounds__(CTK_THREADS, 3)
ctk_clahe_box_tables(const ctk_pixel* __restrict__ x, const ctk_u16* __restrict__ extents, ctk_level* __restrict__ tables,
                     long long volumes, int depth, int height, int width, int tile_d, int tile_h, int tile_w, int tiles_z,
                     int tiles_y, int tiles_x, const ctk_range_key* __restrict__ partials, int parts, int nbins, double low,
                     double high, int limit, int has_extents) {
    __shared__ ctk_binner<ctk_pixel> kept;
    __shared__ ctk_table_memory memory;
    const ctk_boxes grid = {tiles_z, tiles_y, tiles_x};
    const ctk_box_place box = ctk_box_of(int(blockIdx.x), grid, depth, height, width, tile_d, tile_h, tile_w);
    for (long long volume = blockIdx.y; volume < volumes; volume += gridDim.y) {
        const ctk_binner<ctk_pixel> binner = ctk_binner_of({partials, parts, nbins, low, high}, volume, &kept);
        if (binner.flat()) continue;
        ctk_table_span span = {0, nbins - 1, 0, nbins - 1};
        if (has_extents) span = ctk_span_around(extents + 2 * volume * gridDim.x, int(blockIdx.x), grid);
        ctk_table_rule rule = {nbins, limit, tile_d * tile_h * tile_w, ctk_level_span(binner)};
        const ctk_pixel* source = x + volume * depth * height * width;
        ctk_make_table(memory, span, rule, tables + (volume * gridDim.x + blockIdx.x) * nbins, [&](int first, int banks) {
            for (int k = 0; k < box.planes; ++k)
                ctk_count_window(memory, box.tile, box.plane(source, k), binner, first, banks, nbins);
        });
    }
}

// Lookup, blend and cast of the pixels of a plane between the same four tile centres. images: planes of all volumes.
// starts, capacity: as of ctk_clahe_blend. grid ((tiles_y + 1) * (tiles_x + 1), planes up to 65535).
extern "C" __global__ void __launch_bounds__(CTK_THREADS, 2)
ctk_clahe_blend_planes(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, const ctk_u16* __restrict__ extents,
                       const ctk_level* __restrict__ tables, const int* __restrict__ starts, long long images, int depth, int height,
                       int width, int tiles_z, int tiles_y, int tiles_x, float per_plane, float per_row, float per_column,
                       const ctk_range_key* __restrict__ partials, int parts, int nbins, double low, double high, int has_extents,
                       int capacity) {
    extern __shared__ __align__(16) unsigned char shared[];
    __shared__ ctk_binner<ctk_pixel> kept;
    float4* entries = reinterpret_cast<float4*>(shared);
    const int b = int(blockIdx.x) / (tiles_x + 1), c = int(blockIdx.x) % (tiles_x + 1), layer = tiles_y * tiles_x;
    const int *rows = starts + b, *columns = starts + tiles_y + 2 + c;
    const ctk_blend_block block = {rows[0], rows[1], columns[0], columns[1], per_row, per_column, width};
    if (block.y0 == block.y1 || block.x0 == block.x1) return;
    const int upper = max(b - 1, 0) * tiles_x, lower = min(b, tiles_y - 1) * tiles_x;
    const int left = max(c - 1, 0), right = min(c, tiles_x - 1);
    const int near[4] = {upper + left, upper + right, lower + left, lower + right};
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        const long long volume = image / depth;
        const ctk_binner<ctk_pixel> binner = ctk_binner_of({partials, parts, nbins, low, high}, volume, &kept);
        const ctk_pixel* source = x + image * height * width;
        ctk_pixel* result = out + image * height * width;
        if (binner.flat()) {
            ctk_blend(block, source, result, [&](ctk_pixel, float, float, float, float) { return ctk_pixel(binner.low); }, [](ctk_pixel) {});
            continue;
        }
        // The place of the plane between the layers in the arithmetic of ctk_weight.
        const int before = int(floorf(__fsub_rn(__fmul_rn(float(int(image % depth)), per_plane), 0.5f)));
        const float behind = ctk_weight(int(image % depth), per_plane), kept_share = __fsub_rn(1.0f, behind);
        const long long first_box = volume * tiles_z * layer;
        const long long one = first_box + max(before, 0) * layer, two = first_box + min(before + 1, tiles_z - 1) * layer;
        int first = 0, last = nbins - 1;
        if (has_extents) {
            first = nbins - 1, last = 0;
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                const ctk_u16 *p = extents + 2 * (one + near[k]), *q = extents + 2 * (two + near[k]);
                first = min(first, min(int(p[0]), int(q[0])));
                last = max(last, max(int(p[1]), int(q[1])));
            }
        }
        const auto level = [&](int k, int bin) {
            const float p = float(tables[(one + near[k]) * nbins + bin]), q = float(tables[(two + near[k]) * nbins + bin]);
            return __fadd_rn(__fmul_rn(p, kept_share), __fmul_rn(q, behind));
        };
        const auto mixed = [&](int bin) { return make_float4(level(0, bin), level(1, bin), level(2, bin), level(3, bin)); };
        if (last - first < capacity) {
            for (int k = first + int(threadIdx.x); k <= last; k += CTK_THREADS) entries[k - first] = mixed(k);
            __syncthreads();
            ctk_blend(block, source, result, [&](ctk_pixel v, float u, float xa, float d, float ya) {
                return ctk_blended(binner, entries[binner.bin(v) - first], u, xa, d, ya);
            }, [](ctk_pixel) {});
        } else {
            ctk_blend(block, source, result, [&](ctk_pixel v, float u, float xa, float d, float ya) {
                return ctk_blended(binner, mixed(binner.bin(v)), u, xa, d, ya);
            }, [](ctk_pixel) {});
        }
    }
}
