// CLAHE: the four levels of a bin in one entry, and their bilinear blend in OpenCV's order of float32 operations.
#pragma once
#include "clahe_tables.cuh"
#include "quads.cuh"

template <typename L> struct ctk_entry_of;
template <> struct ctk_entry_of<ctk_u8> { typedef unsigned type; };
template <> struct ctk_entry_of<ctk_u16> { typedef uint2 type; };
template <> struct ctk_entry_of<float> { typedef float4 type; };
typedef ctk_entry_of<ctk_level>::type ctk_entry;

__device__ __forceinline__ unsigned ctk_packed(ctk_u8 p, ctk_u8 q, ctk_u8 r, ctk_u8 s) {
    return unsigned(p) | unsigned(q) << 8 | unsigned(r) << 16 | unsigned(s) << 24;
}
__device__ __forceinline__ uint2 ctk_packed(ctk_u16 p, ctk_u16 q, ctk_u16 r, ctk_u16 s) {
    return make_uint2(unsigned(p) | unsigned(q) << 16, unsigned(r) | unsigned(s) << 16);
}
__device__ __forceinline__ float4 ctk_packed(float p, float q, float r, float s) { return make_float4(p, q, r, s); }

// A small whole number as float without a conversion, which runs at a quarter of the speed: its bits as those of 2^23 + n.
__device__ __forceinline__ float ctk_small(unsigned bits) { return __fsub_rn(__uint_as_float(bits), 8388608.0f); }
__device__ __forceinline__ float4 ctk_levels_of(unsigned e) {
    return make_float4(ctk_small(__byte_perm(e, 0x4b000000u, 0x7440u)), ctk_small(__byte_perm(e, 0x4b000000u, 0x7441u)),
                       ctk_small(__byte_perm(e, 0x4b000000u, 0x7442u)), ctk_small(__byte_perm(e, 0x4b000000u, 0x7443u)));
}
__device__ __forceinline__ float4 ctk_levels_of(uint2 e) {
    return make_float4(ctk_small(__byte_perm(e.x, 0x4b000000u, 0x7410u)), ctk_small(__byte_perm(e.x, 0x4b000000u, 0x7432u)),
                       ctk_small(__byte_perm(e.y, 0x4b000000u, 0x7410u)), ctk_small(__byte_perm(e.y, 0x4b000000u, 0x7432u)));
}
__device__ __forceinline__ float4 ctk_levels_of(float4 e) { return e; }

template <typename T> __device__ __forceinline__ T ctk_finished(const ctk_binner<T>& b, float mixed) {
    return T(__float_as_int(__fadd_rn(mixed, 12582912.0f)) + b.low);
}
__device__ __forceinline__ float ctk_finished(const ctk_binner<float>& b, float share) {
    return __fadd_rn(__fmul_rn(b.low, __fsub_rn(1.0f, share)), __fmul_rn(b.high, share));
}
__device__ __forceinline__ double ctk_finished(const ctk_binner<double>& b, float mixed) {
    const double share = double(mixed);
    return __dadd_rn(__dmul_rn(b.low, __dsub_rn(1.0, share)), __dmul_rn(b.high, share));
}

// Weights of the left and right, upper and lower tables. E: ctk_entry, or float4 where levels are no whole numbers.
template <typename E>
__device__ __forceinline__ ctk_pixel ctk_blended(const ctk_binner<ctk_pixel>& binner, const E& e, float left, float right, float up,
                                                 float down) {
    const float4 l = ctk_levels_of(e);
    const float above = __fadd_rn(__fmul_rn(l.x, left), __fmul_rn(l.y, right));
    const float below = __fadd_rn(__fmul_rn(l.z, left), __fmul_rn(l.w, right));
    return ctk_finished(binner, __fadd_rn(__fmul_rn(above, up), __fmul_rn(below, down)));
}

// The pixels between the same four tile centres; per_row and per_column are 1 over the tile's size.
struct ctk_blend_block {
    int y0, y1, x0, x1;
    float per_row, per_column;
    int width;
};
__device__ __forceinline__ float ctk_weight(int i, float per) {
    const float position = __fsub_rn(__fmul_rn(float(i), per), 0.5f);
    return __fsub_rn(position, floorf(position));
}

// out = f(pixel, weights left, right, up, down) for all pixels of a block; seen(result) for each.
template <typename F, typename S>
__device__ __forceinline__ void ctk_blend(const ctk_blend_block& b, const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out,
                                          F f, S seen) {
    // Rows and columns are counted on instead of divided at every step, as in ctk_tile_pixels.
    const bool quads = (b.x0 & 3) == 0 && (b.x1 & 3) == 0 && ctk_quads_fit(x, b.width) && ctk_quads_fit(out, b.width);
    const int size = quads ? 4 : 1, columns = (b.x1 - b.x0) / size;
    const int step_y = CTK_THREADS / columns, step_x = CTK_THREADS % columns;
    int y = int(threadIdx.x) / columns, k = int(threadIdx.x) % columns;
    while (y < b.y1 - b.y0) {
        const int column = b.x0 + k * size;
        const long long at = (long long)(b.y0 + y) * b.width + column;
        const float down = ctk_weight(b.y0 + y, b.per_row), up = __fsub_rn(1.0f, down);
        if (quads) {
            ctk_quad<ctk_pixel> q = ctk_load_quad(x + at);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float right = ctk_weight(column + i, b.per_column);
                q.at[i] = f(q.at[i], __fsub_rn(1.0f, right), right, up, down);
                seen(q.at[i]);
            }
            ctk_store_quad(out + at, q);
        } else {
            const float right = ctk_weight(column, b.per_column);
            const ctk_pixel made = f(x[at], __fsub_rn(1.0f, right), right, up, down);
            out[at] = made;
            seen(made);
        }
        y += step_y;
        k += step_x;
        if (k >= columns) {
            k -= columns;
            ++y;
        }
    }
}
