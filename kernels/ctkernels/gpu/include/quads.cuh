// Four neighbouring pixels of a row: one access where the row's alignment allows, else one by one.
#pragma once
#include "border.cuh"
#include "common.cuh"

template <typename T> struct ctk_quad { T at[4]; };

template <typename T> __device__ __forceinline__ ctk_quad<T> ctk_load_quad(const T* p) {
    constexpr int V = sizeof(T) == 8 ? 2 : 4;
    ctk_quad<T> q;
#pragma unroll
    for (int i = 0; i < 4; i += V) {
        const ctk_pack<T, V> part = ctk_load<V>(p + i);
#pragma unroll
        for (int k = 0; k < V; ++k) q.at[i + k] = part.at[k];
    }
    return q;
}
// Small pixels are put together by shifts: from a union NVRTC makes stores of two pixels each.
template <typename T> __device__ __forceinline__ void ctk_store_quad(T* p, const ctk_quad<T>& q) {
    if constexpr (sizeof(T) == 1) {
        *reinterpret_cast<unsigned*>(p) = unsigned(q.at[0]) | unsigned(q.at[1]) << 8 | unsigned(q.at[2]) << 16 | unsigned(q.at[3]) << 24;
    } else if constexpr (sizeof(T) == 2) {
        const unsigned a = unsigned(ctk_u16(q.at[0])) | unsigned(ctk_u16(q.at[1])) << 16;
        const unsigned b = unsigned(ctk_u16(q.at[2])) | unsigned(ctk_u16(q.at[3])) << 16;
        *reinterpret_cast<ctk_u64*>(p) = ctk_u64(a) | ctk_u64(b) << 32;
    } else {
        constexpr int V = 16 / int(sizeof(T));
#pragma unroll
        for (int i = 0; i < 4; i += V) {
            ctk_pack<T, V> part;
#pragma unroll
            for (int k = 0; k < V; ++k) part.at[k] = q.at[i + k];
            ctk_store<V>(p + i, part);
        }
    }
}
// Whether every row of an image of this width begins where quads may.
template <typename T> __device__ __forceinline__ bool ctk_quads_fit(const T* p, int width) {
    return width % 4 == 0 && ctk_aligned(p, sizeof(T) == 8 ? 16 : 4 * int(sizeof(T)));
}
// Pixels x .. x + 3 of a row with its border, as enter() makes them; null rows are cval everywhere.
template <typename T, typename P, typename F>
__device__ __forceinline__ ctk_quad<P> ctk_quad_of(const T* row, int x, int width, int mode, P cval, bool whole, F enter) {
    ctk_quad<P> q;
    if (row && whole && x >= 0 && x + 3 < width) {
        const ctk_quad<T> in = ctk_load_quad(row + x);
#pragma unroll
        for (int i = 0; i < 4; ++i) q.at[i] = enter(in.at[i]);
        return q;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int k = row ? ctk_border(x + i, width, mode) : -1;
        q.at[i] = k < 0 ? cval : enter(row[k]);
    }
    return q;
}
