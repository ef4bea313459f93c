// One pass over pixels: 16-byte vectors where both arrays allow them, single pixels at the ends.
#pragma once
#include "common.cuh"

// Calls f(const A (&in)[n], B (&result)[n]) for all pixels of x[start .. start + count), with n > 1 for vectors and 1 for
// the rest. UNROLL vectors a thread are loaded before the first is used, so that enough loads are on their way.
// Blocks of gridDim.x share the pixels; where there are fewer blocks than tiles, each takes several.
template <int UNROLL, typename A, typename B, typename F>
__device__ __forceinline__ void ctk_map(const A* __restrict__ x, B* __restrict__ out, long long start, long long count, F f) {
    constexpr int V = ctk_lanes_of<A, B>();
    const long long end = start + count;
    const bool vectors = ctk_aligned(x, V * int(sizeof(A))) && ctk_aligned(out, V * int(sizeof(B)));
    long long head = vectors ? (start + V - 1) / V * V : end;
    head = head < end ? head : end;
    const long long groups = (end - head) / V;
    const int tile = int(blockDim.x) * UNROLL;
    for (long long first = (long long)blockIdx.x * tile; first < groups; first += (long long)gridDim.x * tile) {
        const A* const px = x + head + first * V;
        B* const po = out + head + first * V;
        ctk_pack<A, V> in[UNROLL];
        ctk_pack<B, V> result;
        if (groups - first >= tile) {
#pragma unroll
            for (int u = 0; u < UNROLL; u++) in[u] = ctk_load<V>(px + (u * int(blockDim.x) + int(threadIdx.x)) * V);
#pragma unroll
            for (int u = 0; u < UNROLL; u++) {
                f(in[u].at, result.at);
                ctk_store<V>(po + (u * int(blockDim.x) + int(threadIdx.x)) * V, result);
            }
        } else {
            const int left = int(groups - first);
            for (int i = int(threadIdx.x); i < left; i += int(blockDim.x)) {
                in[0] = ctk_load<V>(px + i * V);
                f(in[0].at, result.at);
                ctk_store<V>(po + i * V, result);
            }
        }
    }
    // Before the first vector and after the last.
    const long long tail = head + groups * V;
    const long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < (head - start) + (end - tail); i += stride) {
        const long long at = i < head - start ? start + i : tail + (i - (head - start));
        const A one[1] = {__ldg(x + at)};
        B result[1];
        f(one, result);
        out[at] = result[0];
    }
}

// The same pixel by pixel, f(A) -> B: for rare paths with much arithmetic, which would cost registers if unrolled.
template <typename A, typename B, typename F>
__device__ __forceinline__ void ctk_map_each(const A* __restrict__ x, B* __restrict__ out, long long start, long long count, F f) {
#pragma unroll 1
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (long long)gridDim.x * blockDim.x)
        out[start + i] = f(__ldg(x + start + i));
}

// Calls f(const T (&pixels)[n]) for all pixels of x[start .. start + count), which `parts` blocks share; this is block
// `part`. In no particular order: for results that do not depend on it.
template <int UNROLL, typename T, typename F>
__device__ __forceinline__ void ctk_visit(const T* __restrict__ x, long long start, long long count, int part, int parts, F f) {
    constexpr int V = 16 / int(sizeof(T));
    const long long end = start + count;
    long long head = ctk_aligned(x, 16) ? (start + V - 1) / V * V : end;
    head = head < end ? head : end;
    const long long groups = (end - head) / V;
    const int tile = int(blockDim.x) * UNROLL;
    for (long long first = (long long)part * tile; first < groups; first += (long long)parts * tile) {
        const T* const px = x + head + first * V;
        ctk_pack<T, V> in[UNROLL];
        if (groups - first >= tile) {
#pragma unroll
            for (int u = 0; u < UNROLL; u++) in[u] = ctk_load<V>(px + (u * int(blockDim.x) + int(threadIdx.x)) * V);
#pragma unroll
            for (int u = 0; u < UNROLL; u++) f(in[u].at);
        } else {
            const int left = int(groups - first);
            for (int i = int(threadIdx.x); i < left; i += int(blockDim.x)) {
                in[0] = ctk_load<V>(px + i * V);
                f(in[0].at);
            }
        }
    }
    const long long tail = head + groups * V;
    const long long stride = (long long)parts * blockDim.x;
    for (long long i = (long long)part * blockDim.x + threadIdx.x; i < (head - start) + (end - tail); i += stride) {
        const T one[1] = {__ldg(x + (i < head - start ? start + i : tail + (i - (head - start))))};
        f(one);
    }
}

// The same pixel by pixel, f(T): for rare paths with much arithmetic.
template <typename T, typename F>
__device__ __forceinline__ void ctk_visit_each(const T* __restrict__ x, long long start, long long count, int part, int parts, F f) {
#pragma unroll 1
    for (long long i = (long long)part * blockDim.x + threadIdx.x; i < count; i += (long long)parts * blockDim.x) f(__ldg(x + start + i));
}
