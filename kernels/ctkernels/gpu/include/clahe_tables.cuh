// CLAHE: a tile's histogram to its table of levels, by OpenCV's rules of clipping and redistribution.
#pragma once
#include "border.cuh"
#include "clahe_bins.cuh"
#include "quads.cuh"

#define CTK_WINDOW 4096

// Levels are whole offsets from the low end for integers, shares of 1 for floats.
template <typename T> struct ctk_level_of { typedef float type; };
template <> struct ctk_level_of<ctk_u8> { typedef ctk_u8 type; };
template <> struct ctk_level_of<short> { typedef ctk_u16 type; };
template <> struct ctk_level_of<ctk_u16> { typedef ctk_u16 type; };
typedef ctk_level_of<ctk_pixel>::type ctk_level;

template <typename T> __device__ __forceinline__ int ctk_level_span(const ctk_binner<T>& b) { return b.high - b.low; }
__device__ __forceinline__ int ctk_level_span(const ctk_binner<float>&) { return 1; }
__device__ __forceinline__ int ctk_level_span(const ctk_binner<double>&) { return 1; }

struct ctk_tile_place { int y, x, rows, columns, height, width; };

// f(pixel) for all pixels of a tile, in no order; beyond the image OpenCV's padding, a mirror.
template <typename F> __device__ __forceinline__ void ctk_tile_pixels(const ctk_tile_place& t, const ctk_pixel* __restrict__ image, F f) {
    const bool quads = (t.columns & 3) == 0 && t.x + t.columns <= t.width && ctk_quads_fit(image, t.width);
    const int size = quads ? 4 : 1, columns = t.columns / size;
    const int step_y = CTK_THREADS / columns, step_x = CTK_THREADS % columns;
    int y = int(threadIdx.x) / columns, x = int(threadIdx.x) % columns;
    while (y < t.rows) {
        const ctk_pixel* row = image + (long long)ctk_border(t.y + y, t.height, CTK_MIRROR) * t.width;
        if (quads) {
            const ctk_quad<ctk_pixel> q = ctk_load_quad(row + t.x + 4 * x);
#pragma unroll
            for (int i = 0; i < 4; ++i) f(q.at[i]);
        } else {
            f(row[ctk_border(t.x + x, t.width, CTK_MIRROR)]);
        }
        y += step_y;
        x += step_x;
        if (x >= columns) {
            x -= columns;
            ++y;
        }
    }
}

struct ctk_table_memory {
    int counts[CTK_WINDOW];  // one window of bins, or several banks of few bins
    int sums[CTK_THREADS / 32];
};

// First and last bin to count, first and last to write.
struct ctk_table_span { int count_first, count_last, first, last; };

// The tables of a tile are asked for by the pixels of the tiles around it.
__device__ __forceinline__ ctk_table_span ctk_span_near(const ctk_u16* extents, int j, int i, int tiles_y, int tiles_x) {
    const int own = j * tiles_x + i;
    ctk_table_span s = {extents[2 * own], extents[2 * own + 1], 65535, 0};
    for (int b = max(j - 1, 0); b <= min(j + 1, tiles_y - 1); ++b) {
        for (int a = max(i - 1, 0); a <= min(i + 1, tiles_x - 1); ++a) {
            s.first = min(s.first, int(extents[2 * (b * tiles_x + a)]));
            s.last = max(s.last, int(extents[2 * (b * tiles_x + a) + 1]));
        }
    }
    return s;
}

// Add the tile's pixels with bins first .. first + CTK_WINDOW - 1 to the counters, which are zero. Warps take turns with
// the banks, so that equal neighbours (air, padding) don't all wait for one counter.
__device__ __forceinline__ void ctk_count_window(ctk_table_memory& m, const ctk_tile_place& tile, const ctk_pixel* __restrict__ image,
                                                 const ctk_binner<ctk_pixel>& binner, int first, int banks, int nbins) {
    int* bank = m.counts + (int(threadIdx.x) / 32 % banks) * (banks > 1 ? nbins : 0);
    if (nbins <= CTK_WINDOW) {
        ctk_tile_pixels(tile, image, [&](ctk_pixel v) { atomicAdd(&bank[binner.bin(v)], 1); });
    } else {
        ctk_tile_pixels(tile, image, [&](ctk_pixel v) {
            const int b = binner.bin(v) - first;
            if (unsigned(b) < CTK_WINDOW) atomicAdd(&bank[b], 1);
        });
    }
}

// What a tile's counts become levels by: bins, most pixels of a bin, pixels, levels between low and high end.
struct ctk_table_rule { int nbins, limit, pixels, span; };

template <typename L> struct ctk_level_value {
    static __device__ __forceinline__ L of(int total, const ctk_table_rule& r) {
        const float scale = __fdiv_rn(float(r.span), float(r.pixels)), span = float(r.span);
        const float v = __fmul_rn(__int2float_rn(total), scale);
        // Adding 1.5 * 2^23 rounds half to even and leaves the whole number in the low bits.
        return L(__float_as_int(__fadd_rn(v < span ? v : span, 12582912.0f)));
    }
};
template <> struct ctk_level_value<float> {
    static __device__ __forceinline__ float of(int total, const ctk_table_rule& r) {
        return __fdiv_rn(__int2float_rn(total), float(r.pixels));
    }
};

// Sum over the block; `sums` has a place for each warp. Contains barriers.
__device__ __forceinline__ int ctk_block_sum(int v, int* sums) {
    v = ctk_warp_sum(v);
    __syncthreads();
    if ((threadIdx.x & 31) == 0) sums[threadIdx.x / 32] = v;
    __syncthreads();
    int total = 0;
#pragma unroll
    for (int w = 0; w < CTK_THREADS / 32; ++w) total += sums[w];
    return total;
}

// Clear the counters, count(first bin, banks), bring the banks together and clip; returns what this thread cut off.
template <typename F> __device__ __forceinline__ int ctk_counted_window(ctk_table_memory& m, const ctk_table_rule& r, int first, F count) {
    const int bins = min(r.nbins - first, CTK_WINDOW);
    const int banks = r.nbins <= CTK_WINDOW / 8 ? 8 : r.nbins <= CTK_WINDOW / 4 ? 4 : r.nbins <= CTK_WINDOW / 2 ? 2 : 1;
    __syncthreads();
    for (int k = int(threadIdx.x); k < banks * bins; k += CTK_THREADS) m.counts[k] = 0;
    __syncthreads();
    count(first, banks);
    __syncthreads();
    int cut = 0;
    for (int k = int(threadIdx.x); k < bins; k += CTK_THREADS) {
        int n = m.counts[k];
        for (int b = 1; b < banks; ++b) n += m.counts[b * bins + k];
        cut += max(n - r.limit, 0);
        m.counts[k] = min(n, r.limit);
    }
    __syncthreads();
    return cut;
}

// Levels of the bins of one window: cumulative sums of the clipped counts, and what redistribution adds in closed form:
// `each` to every bin, one more to every `step`-th up to `rest` of them. Returns the pixels up to the window's end.
__device__ __forceinline__ int ctk_levels(ctk_table_memory& m, const ctk_table_span& s, const ctk_table_rule& r, int first,
                                          bool any, int before, int each, int rest, int step, ctk_level* table) {
    const int bins = min(r.nbins - first, CTK_WINDOW), lane = int(threadIdx.x) & 31, warp = int(threadIdx.x) / 32;
    const int share = (bins + CTK_THREADS - 1) / CTK_THREADS * 32;
    int sum = 0;
    if (any) for (int k = warp * share + lane; k < min((warp + 1) * share, bins); k += 32) sum += m.counts[k];
    __syncwarp();
    const int all = ctk_block_sum(sum, m.sums);
    int total = before;
    for (int w = 0; w < warp; ++w) total += m.sums[w];
    for (int start = warp * share; start < min((warp + 1) * share, bins); start += 32) {
        const int k = start + lane;
        const int upto = total + ctk_warp_scan(any && k < bins ? m.counts[k] : 0);
        const int b = first + k;
        if (k < bins && b >= s.first && b <= s.last)
            table[b] = ctk_level_value<ctk_level>::of(upto + each * (b + 1) + min(b / step + 1, rest), r);
        total = __shfl_sync(CTK_FULL, upto, 31);
    }
    return before + all;
}

// count(first bin, banks) adds pixels to the counters; where all bins fit one window it is called once.
template <typename F>
__device__ __forceinline__ void ctk_make_table(ctk_table_memory& m, const ctk_table_span& s, const ctk_table_rule& r, ctk_level* table, F count) {
    const int windows = (r.nbins + CTK_WINDOW - 1) / CTK_WINDOW;
    int cut = 0;
    for (int w = 0; w < windows; ++w) {
        const int first = w * CTK_WINDOW;
        if (first <= s.count_last && first + CTK_WINDOW > s.count_first) cut += ctk_counted_window(m, r, first, count);
    }
    const int excess = ctk_block_sum(cut, m.sums);
    const int each = excess / r.nbins, rest = excess % r.nbins, step = max(r.nbins / max(rest, 1), 1);
    int before = 0;
    for (int w = 0; w < windows; ++w) {
        const int first = w * CTK_WINDOW;
        const bool any = first <= s.count_last && first + CTK_WINDOW > s.count_first;
        const bool wanted = first <= s.last && first + CTK_WINDOW > s.first;
        if (!any && !wanted) continue;
        if (any && windows > 1) ctk_counted_window(m, r, first, count);
        before = ctk_levels(m, s, r, first, any, before, each, rest, step, table);
        __syncthreads();
    }
}
