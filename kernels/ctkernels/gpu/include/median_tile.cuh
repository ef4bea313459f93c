// A tile of medians by the network of _core/median_network.py, for the kernels that only filter and those that do more.
// See median_filter.cu for the specialisations. `enter` makes a pixel from what the image holds.
//
// Of volumes a tile holds the rows of CTK_PLANES neighbouring planes, which take turns: a window of (planes, rows, columns)
// is then one of CTK_PLANES * CTK_ROWS neighbouring rows, and the one below begins CTK_PLANES rows further on.
#pragma once
#include "border.cuh"
#include "common.cuh"
#include "median_keys.cuh"
#include "quads.cuh"

#ifndef CTK_PLANES
#define CTK_PLANES 1
#endif
#ifndef CTK_WORD_ROWS
#define CTK_WORD_ROWS 32                                // most rows of words of a tile
#endif

typedef CTK_PIXEL ctk_pixel;
#define CTK_TILE 128                                    // columns of a tile
#define CTK_WARPS 4
#define CTK_REACH_Y (CTK_ROWS / 2)
#define CTK_REACH_X (CTK_COLUMNS / 2)
#define CTK_PAD ((CTK_REACH_X + 3) / 4 * 4)             // keeps the tile's columns on 16-byte boundaries
#define CTK_PITCH (CTK_TILE + 2 * CTK_PAD)

#if CTK_LANES == 2
typedef unsigned ctk_sort;
template <typename T> struct ctk_pairs {
    static __device__ __forceinline__ unsigned low(unsigned a, unsigned b) { return __vminu2(a, b); }
    static __device__ __forceinline__ unsigned high(unsigned a, unsigned b) { return __vmaxu2(a, b); }
};
template <> struct ctk_pairs<short> {
    static __device__ __forceinline__ unsigned low(unsigned a, unsigned b) { return __vmins2(a, b); }
    static __device__ __forceinline__ unsigned high(unsigned a, unsigned b) { return __vmaxs2(a, b); }
};
__device__ __forceinline__ ctk_sort ctk_low(ctk_sort a, ctk_sort b) { return ctk_pairs<ctk_pixel>::low(a, b); }
__device__ __forceinline__ ctk_sort ctk_high(ctk_sort a, ctk_sort b) { return ctk_pairs<ctk_pixel>::high(a, b); }
__device__ __forceinline__ ctk_sort ctk_pair(ctk_pixel a, ctk_pixel b) { return unsigned(ctk_u16(a)) | unsigned(ctk_u16(b)) << 16; }
__device__ __forceinline__ ctk_pixel ctk_lane_of(ctk_sort v, int lane) { return ctk_pixel(ctk_u16(lane ? v >> 16 : v)); }
#else
typedef ctk_keys<ctk_pixel>::type ctk_sort;
__device__ __forceinline__ ctk_sort ctk_low(ctk_sort a, ctk_sort b) { return a < b ? a : b; }
__device__ __forceinline__ ctk_sort ctk_high(ctk_sort a, ctk_sort b) { return a < b ? b : a; }
__device__ __forceinline__ ctk_sort ctk_pair(ctk_pixel a, ctk_pixel) { return ctk_sorted(a); }
__device__ __forceinline__ ctk_pixel ctk_lane_of(ctk_sort v, int) { return ctk_sorted_pixel<ctk_pixel>::of(v); }
#endif

struct alignas(4 * sizeof(ctk_sort) > 16 ? 16 : 4 * sizeof(ctk_sort)) ctk_sort_quad { ctk_sort at[4]; };

// The medians of one thread; `corner`: the upper left pixel of its first window. Not a template: NVRTC takes half a
// minute to instantiate the thousand steps of 5 x 5, and half a second to compile them.
__device__ __forceinline__ void ctk_median_run(const ctk_sort* corner, ctk_sort (&median)[CTK_THREAD_ROWS][4]) {
#define CTK_AT(r, c) corner[(r) * CTK_PITCH + (c)]
#define CTK_QUAD(r, c) *reinterpret_cast<const ctk_sort_quad*>(corner + (r) * CTK_PITCH + (c))
#define CTK_PUT(r, c, value) median[r][c] = value
#include "median_network.cuh"
#undef CTK_AT
#undef CTK_QUAD
#undef CTK_PUT
}

// The whole batch; the kernel's arguments and geometry are those of ctk_median_network. `depth`: planes of a volume, which
// are images like any others but for what the windows see of their neighbours.
template <typename T, typename F>
__device__ __forceinline__ void ctk_median_batch(const T* __restrict__ x, ctk_pixel* __restrict__ out, long long images, int depth,
                                                 int height, int width, int mode, double outside, int word_rows, F enter) {
    __shared__ __align__(16) ctk_sort tile[(CTK_WORD_ROWS + CTK_ROWS - 1) * CTK_PLANES][CTK_PITCH];
    const int lane = int(threadIdx.x), warp = int(threadIdx.y);
    const int tiles_x = (width + CTK_TILE - 1) / CTK_TILE;
    const int x0 = int(blockIdx.x) % tiles_x * CTK_TILE, y0 = int(blockIdx.x) / tiles_x * word_rows * CTK_LANES;
    const ctk_pixel cval = ctk_pixel(outside);
    const bool whole = ctk_quads_fit(x, width), whole_out = ctk_quads_fit(out, width);
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        const int plane = CTK_PLANES == 1 ? 0 : int(image % depth);
        const T* source = x + (image - plane) * height * width;
        ctk_pixel* result = out + image * height * width;
        // Fill the tile, halo included; with two lanes a word holds one pixel of the upper and one of the lower half.
        for (int r = warp; r < (word_rows + CTK_ROWS - 1) * CTK_PLANES; r += CTK_WARPS) {
            const int z = CTK_PLANES == 1 ? 0 : ctk_border(plane - CTK_PLANES / 2 + r % CTK_PLANES, depth, mode);
            const T* rows[2];
#pragma unroll
            for (int half = 0; half < CTK_LANES; ++half) {
                const int y = ctk_border(y0 - CTK_REACH_Y + r / CTK_PLANES + half * word_rows, height, mode);
                rows[half] = y < 0 || z < 0 ? nullptr : source + ((long long)z * height + y) * width;
            }
            const T *upper = rows[0], *lower = rows[CTK_LANES - 1];
            const ctk_quad<ctk_pixel> a = ctk_quad_of(upper, x0 + 4 * lane, width, mode, cval, whole, enter);
            const ctk_quad<ctk_pixel> b = CTK_LANES == 1 ? a : ctk_quad_of(lower, x0 + 4 * lane, width, mode, cval, whole, enter);
            ctk_sort_quad made;
#pragma unroll
            for (int i = 0; i < 4; ++i) made.at[i] = ctk_pair(a.at[i], b.at[i]);
            *reinterpret_cast<ctk_sort_quad*>(&tile[r][CTK_PAD + 4 * lane]) = made;
            if (lane < CTK_COLUMNS - 1) {  // the halo's columns, left and right, one a lane
                const int c = lane < CTK_REACH_X ? lane - CTK_REACH_X : lane - CTK_REACH_X + CTK_TILE;
                const int k = ctk_border(x0 + c, width, mode);
                tile[r][CTK_PAD + c] = ctk_pair(upper && k >= 0 ? enter(upper[k]) : cval, lower && k >= 0 ? enter(lower[k]) : cval);
            }
        }
        __syncthreads();
        for (int row = warp * CTK_THREAD_ROWS; row < word_rows; row += CTK_WARPS * CTK_THREAD_ROWS) {
            ctk_sort median[CTK_THREAD_ROWS][4];
            const ctk_sort* corner = &tile[row * CTK_PLANES][4 * lane + CTK_PAD - CTK_REACH_X];
            ctk_median_run(corner, median);
#pragma unroll
            for (int half = 0; half < CTK_LANES; ++half) {
#pragma unroll
                for (int i = 0; i < CTK_THREAD_ROWS; ++i) {
                    const int y = y0 + row + i + half * word_rows, column = x0 + 4 * lane;
                    if (y >= height || column >= width) continue;
                    ctk_pixel* p = result + (long long)y * width + column;
                    ctk_quad<ctk_pixel> q;
#pragma unroll
                    for (int k = 0; k < 4; ++k) q.at[k] = ctk_lane_of(median[i][k], half);
                    if (whole_out) {
                        ctk_store_quad(p, q);
                    } else {
#pragma unroll
                        for (int k = 0; k < 4; ++k) if (column + k < width) p[k] = q.at[k];
                    }
                }
            }
        }
        __syncthreads();
    }
}
