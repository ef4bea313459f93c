// The Gaussian of one tile, for the kernels that only smooth and those that do more in the same launch.
// CTK_PIXEL: what comes out. `enter` of ctk_smooth_from makes what is smoothed from pixels of the image.
#pragma once
#include "border.cuh"
#include "common.cuh"
#include "quads.cuh"

#define CTK_WARPS 8
#define CTK_RUN 8   // sums of a thread at a time

typedef CTK_PIXEL ctk_pixel;
template <typename T> struct ctk_sum_of { typedef float type; };
template <> struct ctk_sum_of<double> { typedef double type; };
typedef ctk_sum_of<ctk_pixel>::type ctk_sum;

__device__ __forceinline__ float ctk_times(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ double ctk_times(double a, double b) { return __dmul_rn(a, b); }
__device__ __forceinline__ float ctk_tap(float w, float a, float b, float sum) { return __fmaf_rn(w, __fadd_rn(a, b), sum); }
__device__ __forceinline__ double ctk_tap(double w, double a, double b, double sum) { return __fma_rn(w, __dadd_rn(a, b), sum); }

// cval as it enters the sums; for integers a value beyond 1e30 saturates all the same and would overflow the sums.
__device__ __forceinline__ ctk_sum ctk_fill(double v) {
    if (ctk_pixel(0.5f) == ctk_pixel(0)) v = v < -1e30 ? -1e30 : v > 1e30 ? 1e30 : v;
    return ctk_sum(v);
}
// To the pixel type: integers rounded half to even and saturated, NaN to the lowest.
template <typename T> struct ctk_rounded {
    static __device__ __forceinline__ T of(float v) {
        const float least = T(-1) < T(0) ? -32768.0f : 0.0f;
        const float most = sizeof(T) == 1 ? 255.0f : T(-1) < T(0) ? 32767.0f : 65535.0f;
        v = v > least ? v : least;
        v = v < most ? v : most;
        // Adding 1.5 * 2^23 rounds half to even and leaves the whole number in the low bits.
        return T(__float_as_int(__fadd_rn(v, 12582912.0f)));
    }
};
template <> struct ctk_rounded<float> { static __device__ __forceinline__ float of(float v) { return v; } };
template <> struct ctk_rounded<double> { static __device__ __forceinline__ double of(double v) { return v; } };

// CTK_RUN neighbouring sums; pixel(k) is number k of the first sum's neighbourhood, from -radius to radius + CTK_RUN - 1.
template <typename F> __device__ __forceinline__ void ctk_slide(ctk_sum (&total)[CTK_RUN], const ctk_sum* weights, int radius, F pixel) {
    ctk_sum before[CTK_RUN], after[CTK_RUN];
#pragma unroll
    for (int k = 0; k < CTK_RUN; ++k) {
        before[k] = after[k] = pixel(k);
        total[k] = ctk_times(weights[0], before[k]);
    }
    for (int j = 1; j <= radius; j += CTK_RUN) {
#pragma unroll
        for (int i = 0; i < CTK_RUN; ++i) {  // the window turns by names: place k of `before` is now (k - i - 1) mod CTK_RUN
            if (j + i > radius) return;
            const ctk_sum w = weights[j + i];
            before[CTK_RUN - 1 - i] = pixel(-j - i);
            after[i] = pixel(CTK_RUN - 1 + j + i);
#pragma unroll
            for (int k = 0; k < CTK_RUN; ++k)
                total[k] = ctk_tap(w, before[(k + CTK_RUN - 1 - i) % CTK_RUN], after[(k + i + 1) % CTK_RUN], total[k]);
        }
    }
}

// The shared memory of a block: weights, the tile with its halo, the sums of the columns. The result takes the tile's
// place. Columns of the tile begin on multiples of four; rows of the sums are of odd length, so that threads that work
// side by side on 32 rows use 32 banks.
struct ctk_smooth_tile {
    ctk_sum *weights, *raw, *mid;
    int ry, rx, height, width;
    int pad, raw_pitch, mid_pitch, out_pitch;
};
__device__ __forceinline__ ctk_smooth_tile ctk_smooth_layout(unsigned char* shared, int ry, int rx, int tile_h, int tile_w) {
    ctk_smooth_tile t;
    t.ry = ry, t.rx = rx, t.height = tile_h, t.width = tile_w;
    t.pad = (rx + 3) / 4 * 4;
    t.raw_pitch = tile_w + 2 * t.pad;
    t.mid_pitch = tile_w + 2 * rx + 1;
    t.out_pitch = tile_w + (sizeof(ctk_pixel) == 1 ? 8 : 16 / int(sizeof(ctk_pixel)));
    t.weights = reinterpret_cast<ctk_sum*>(shared);
    t.raw = t.weights + (ry + rx + 5) / 4 * 4;
    const int raw = (tile_h + 2 * ry) * t.raw_pitch;
    const int out = (tile_h * t.out_pitch * int(sizeof(ctk_pixel)) + 16) / int(sizeof(ctk_sum)) / 4 * 4 + 4;
    t.mid = t.raw + (raw > out ? raw : out);
    return t;
}

__device__ __forceinline__ void ctk_load_weights(const ctk_smooth_tile& t, const ctk_sum* __restrict__ weights) {
    for (int i = int(threadIdx.y) * 32 + int(threadIdx.x); i < t.ry + t.rx + 2; i += 32 * CTK_WARPS) t.weights[i] = weights[i];
}

// Smooth the tile at (x0, y0) of an image; the result is left in shared memory, all threads have passed a barrier.
// enter(pixel of the image) makes the number that is smoothed; modes: that of the rows, and eight times the columns'.
template <typename T, typename F>
__device__ __forceinline__ void ctk_smooth_from(const ctk_smooth_tile& t, const T* __restrict__ image, int height, int width,
                                                int x0, int y0, int modes, double outside, F enter) {
    const int mode = modes & 7, mode_x = modes >> 3;
    const int lane = int(threadIdx.x), warp = int(threadIdx.y);
    const ctk_sum cval = ctk_fill(outside);
    const bool whole = ctk_quads_fit(image, width);
    for (int r = warp; r < t.height + 2 * t.ry; r += CTK_WARPS) {
        const int y = ctk_border(y0 - t.ry + r, height, mode);
        const T* row = y < 0 ? nullptr : image + (long long)y * width;
        ctk_sum* target = t.raw + r * t.raw_pitch;
        for (int c = 4 * lane; c < t.raw_pitch; c += 128) {
            const int x = x0 - t.pad + c;
            const ctk_quad<ctk_sum> q = ctk_quad_of(row, x, width, mode_x, cval, whole, [&](T v) { return ctk_sum(enter(v)); });
            ctk_store_quad(target + c, q);
        }
    }
    __syncthreads();
    // Down the columns. Work goes by (group of CTK_RUN rows, column), columns first, so that a warp reads neighbours; group
    // and column are counted on, because a division is many instructions.
    const int columns = t.width + 2 * t.rx;
    const int step_g = 32 * CTK_WARPS / columns, step_c = 32 * CTK_WARPS % columns;
    int g = (32 * warp + lane) / columns, c = (32 * warp + lane) % columns;
    while (g < t.height / CTK_RUN) {
        ctk_sum* target = t.mid + g * CTK_RUN * t.mid_pitch + c;
        ctk_sum total[CTK_RUN];
        if (mode_x == CTK_CONSTANT && unsigned(x0 - t.rx + c) >= unsigned(width)) {
            // Beyond the image every pixel is cval; summing it up would bring roundings that the CPU backend has not.
#pragma unroll
            for (int k = 0; k < CTK_RUN; ++k) total[k] = cval;
        } else {
            const ctk_sum* centre = t.raw + (g * CTK_RUN + t.ry) * t.raw_pitch + t.pad - t.rx + c;
            ctk_slide(total, t.weights, t.ry, [&](int k) { return centre[k * t.raw_pitch]; });
        }
#pragma unroll
        for (int k = 0; k < CTK_RUN; ++k) target[k * t.mid_pitch] = total[k];
        g += step_g;
        c += step_c;
        if (c >= columns) {
            c -= columns;
            ++g;
        }
    }
    __syncthreads();
    // Along the rows. A warp takes 32 rows of one run of columns: neighbours in a row share loads in registers, and the odd
    // pitch of the sums keeps the 32 rows in 32 banks. Results are staged, so that they leave in whole rows.
    ctk_pixel* staged = reinterpret_cast<ctk_pixel*>(t.raw);
    const int stripes = t.height / 32;
    for (int item = warp; item < stripes * (t.width / CTK_RUN); item += CTK_WARPS) {
        const int r = item % stripes * 32 + lane, first = item / stripes * CTK_RUN;
        const ctk_sum* centre = t.mid + r * t.mid_pitch + t.rx + first;
        ctk_sum total[CTK_RUN];
        ctk_slide(total, t.weights + t.ry + 1, t.rx, [&](int k) { return centre[k]; });
#pragma unroll
        for (int h = 0; h < CTK_RUN; h += 4) {
            ctk_quad<ctk_pixel> q;
#pragma unroll
            for (int i = 0; i < 4; ++i) q.at[i] = ctk_rounded<ctk_pixel>::of(total[h + i]);
            ctk_store_quad(staged + r * t.out_pitch + first + h, q);
        }
    }
    __syncthreads();
}

// The part of the tile that lies in the image.
__device__ __forceinline__ void ctk_write_tile(const ctk_smooth_tile& t, ctk_pixel* __restrict__ image, int height, int width,
                                               int x0, int y0) {
    const ctk_pixel* staged = reinterpret_cast<const ctk_pixel*>(t.raw);
    const bool whole = ctk_quads_fit(image, width);
    for (int r = int(threadIdx.y); r < t.height && y0 + r < height; r += CTK_WARPS) {
        ctk_pixel* row = image + (long long)(y0 + r) * width + x0;
        const ctk_pixel* from = staged + r * t.out_pitch;
        for (int c = 4 * int(threadIdx.x); c < t.width && x0 + c < width; c += 128) {
            if (whole) {
                ctk_quad<ctk_pixel> q;
#pragma unroll
                for (int i = 0; i < 4; ++i) q.at[i] = from[c + i];
                ctk_store_quad(row + c, q);
            } else {
                for (int i = 0; i < 4 && x0 + c + i < width; ++i) row[c + i] = from[c + i];
            }
        }
    }
}

// The whole batch; see ctk_gaussian_tile for the arguments.
template <typename T, typename F>
__device__ __forceinline__ void ctk_smooth_batch(const T* __restrict__ x, ctk_pixel* __restrict__ out, long long images, int height,
                                                 int width, const ctk_sum* __restrict__ weights, int ry, int rx, int modes,
                                                 double outside, int tile_h, int tile_w, F enter) {
    extern __shared__ __align__(16) unsigned char shared[];
    const ctk_smooth_tile tile = ctk_smooth_layout(shared, ry, rx, tile_h, tile_w);
    const int tiles_x = (width + tile_w - 1) / tile_w;
    const int x0 = int(blockIdx.x) % tiles_x * tile_w, y0 = int(blockIdx.x) / tiles_x * tile_h;
    ctk_load_weights(tile, weights);
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        ctk_smooth_from(tile, x + image * height * width, height, width, x0, y0, modes, outside, enter);
        ctk_write_tile(tile, out + image * height * width, height, width, x0, y0);
        __syncthreads();
    }
}
