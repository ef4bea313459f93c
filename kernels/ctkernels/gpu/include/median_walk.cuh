// Medians of windows that no network serves: a warp slides a window down a column of the image and keeps histograms of
// it, one for each byte of the keys from the highest on. The first counts all pixels; each further one counts those that
// share the bytes the last median had so far, and is made anew when these change, which they seldom do from one pixel to
// the next. (Huang, Yang and Tang, "A fast two-dimensional median filtering algorithm", IEEE Trans. ASSP 27, 1979, for
// keys of several bytes.) A pixel costs two rows of the window (of each of its planes) and a scan of 256 counters a byte.
//
// Of volumes the rows of the window's planes take turns, as in median_tile.cuh.
//
// CTK_PIXEL: type of the images. Windows hold fewer than 2^31 pixels.
#pragma once
#include "border.cuh"
#include "common.cuh"
#include "median_keys.cuh"

typedef CTK_PIXEL ctk_pixel;
#define CTK_LEVELS int(sizeof(ctk_pixel))
#define CTK_WARPS 4
#define CTK_BINS 256
#define CTK_TILE 32  // columns of a tile, one after the other CTK_WARPS at a time

template <int BYTES> struct ctk_unsigned { typedef unsigned type; };
template <> struct ctk_unsigned<8> { typedef ctk_u64 type; };
template <int BYTES> struct ctk_slot_of { typedef unsigned type; };
template <> struct ctk_slot_of<1> { typedef ctk_u8 type; };
template <> struct ctk_slot_of<2> { typedef ctk_u16 type; };
template <> struct ctk_slot_of<8> { typedef ctk_u64 type; };
typedef ctk_unsigned<sizeof(ctk_pixel)>::type ctk_digits;  // a key, its bytes the digits
typedef ctk_slot_of<sizeof(ctk_pixel)>::type ctk_slot;     // as it is kept in shared memory

__device__ __forceinline__ ctk_digits ctk_digits_of(ctk_u8 v) { return v; }
__device__ __forceinline__ ctk_digits ctk_digits_of(ctk_u16 v) { return v; }
__device__ __forceinline__ ctk_digits ctk_digits_of(short v) { return ctk_digits(v + 0x8000); }
__device__ __forceinline__ ctk_digits ctk_digits_of(float v) { return unsigned(ctk_sorted(v)) ^ 0x80000000u; }
__device__ __forceinline__ ctk_digits ctk_digits_of(double v) { return ctk_digits(ctk_u64(ctk_sorted(v)) ^ 0x8000000000000000ull); }
template <typename T> struct ctk_undigits { static __device__ __forceinline__ T of(ctk_digits d) { return T(d); } };
template <> struct ctk_undigits<short> { static __device__ __forceinline__ short of(ctk_digits d) { return short(int(d) - 0x8000); } };
template <> struct ctk_undigits<float> {
    static __device__ __forceinline__ float of(ctk_digits d) { return ctk_sorted_pixel<float>::of(int(unsigned(d) ^ 0x80000000u)); }
};
template <> struct ctk_undigits<double> {
    static __device__ __forceinline__ double of(ctk_digits d) {
        return ctk_sorted_pixel<double>::of((long long)(ctk_u64(d) ^ 0x8000000000000000ull));
    }
};
// Floats that hold whole numbers in the range of int16, as CT values do, have two digits instead of four or eight. Equality
// is that of bits: -ftz=true takes float32 subnormals for zero.
__device__ __forceinline__ bool ctk_short_whole(ctk_digits d) {
    if (CTK_LEVELS <= 2) return false;
    const ctk_pixel v = ctk_undigits<ctk_pixel>::of(d);
    return v >= ctk_pixel(-32768) && v <= ctk_pixel(32767) &&
           (ctk_digits_of(ctk_pixel(int(v))) == d || d == ctk_digits_of(ctk_pixel(-0.0)));
}
__device__ __forceinline__ ctk_digits ctk_short_digits(ctk_digits d) {
    return ctk_digits(int(ctk_undigits<ctk_pixel>::of(d)) + 0x8000);
}

// Where a warp reads keys: a tile in shared memory, or the image itself with its border.
struct ctk_tile_view {
    const ctk_slot* corner;
    int pitch;
    __device__ __forceinline__ ctk_digits operator()(int row, int column) const { return corner[row * pitch + column]; }
};
template <bool VOLUME> struct ctk_image_view {
    const ctk_pixel* image;        // of a volume, its first plane
    int height, width, mode, top, left;
    ctk_pixel cval;
    int planes, depth, front;      // planes of the window, of the volume, the first that the window sees
    __device__ __forceinline__ ctk_digits operator()(int row, int column) const {
        const int r = VOLUME ? row / planes : row;
        const int z = VOLUME ? ctk_border(front + row - r * planes, depth, mode) : 0;
        const int y = ctk_border(top + r, height, mode), x = ctk_border(left + column, width, mode);
        return ctk_digits_of(z < 0 || y < 0 || x < 0 ? cval : image[((long long)z * height + y) * width + x]);
    }
};

// One warp's window and its histograms. `rows`: of the view that a window holds; it goes down by `step` of them, which are
// the planes of a volume's window and one for images.
template <typename V, bool VOLUME> struct ctk_walker {
    V at;
    int* counts;                   // [CTK_LEVELS][CTK_BINS], the warp's own
    int rows, columns, step, levels, lane;
    ctk_digits held[CTK_LEVELS];   // the leading bytes of what each level counts; all ones: of nothing

    __device__ __forceinline__ void clear(int level) {
        int4* p = reinterpret_cast<int4*>(counts + level * CTK_BINS);
        p[lane] = p[lane + 32] = make_int4(0, 0, 0, 0);
    }
    // The keys of one step of rows, number `i` of `inside` in turn; with several rows a warp is full where they are short.
    __device__ __forceinline__ int inside() const { return VOLUME ? step * columns : columns; }
    __device__ __forceinline__ ctk_digits key_at(int row, int i) const {
        const int r = VOLUME ? i / columns : 0;
        return at(row + r, i - r * columns);
    }
    __device__ __forceinline__ void count(int row, int change) {
        for (int first = 0; first < inside(); first += 32) {  // the warp stays together
            if (first + lane >= inside()) continue;
            const ctk_digits key = key_at(row, first + lane);
            atomicAdd(&counts[int(key >> (8 * (levels - 1)))], change);
#pragma unroll
            for (int l = 1; l < CTK_LEVELS; ++l) {
                if (l < levels && key >> (8 * (levels - l)) == held[l])
                    atomicAdd(&counts[l * CTK_BINS + int(key >> (8 * (levels - 1 - l)) & 255)], change);
            }
        }
    }
    __device__ __forceinline__ void count_level(int level, int top, ctk_digits prefix) {
        clear(level);
        __syncwarp();
        for (int r = top; r < top + rows; r += step) {
            for (int first = 0; first < inside(); first += 32) {
                if (first + lane >= inside()) continue;
                const ctk_digits key = key_at(r, first + lane);
                if (key >> (8 * (levels - level)) == prefix)
                    atomicAdd(&counts[level * CTK_BINS + int(key >> (8 * (levels - 1 - level)) & 255)], 1);
            }
        }
        __syncwarp();
    }
    // The bin that holds the item of this rank, and its rank within the bin.
    __device__ __forceinline__ int find(int level, int& rank) {
        const int4* p = reinterpret_cast<const int4*>(counts + level * CTK_BINS) + 2 * lane;
        const int4 a = p[0], b = p[1];
        const int n[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
        int sum = 0;
#pragma unroll
        for (int i = 0; i < 8; ++i) sum += n[i];
        // Eight bins a lane: the first lane whose running sum exceeds the rank owns it, and finds the bin among its eight.
        const int upto = ctk_warp_scan(sum);
        const int owner = __ffs(int(__ballot_sync(CTK_FULL, upto > rank))) - 1;
        int rest = rank - (upto - sum), bin = 8 * lane;
#pragma unroll
        for (int i = 0; i < 7; ++i) {
            const bool beyond = bin == 8 * lane + i && rest >= n[i];
            rest -= beyond ? n[i] : 0;
            bin += beyond;
        }
        rank = __shfl_sync(CTK_FULL, rest, owner);
        return __shfl_sync(CTK_FULL, bin, owner);
    }
    // Begin with the window whose first row is row 0 of the view.
    __device__ __forceinline__ void begin() {
#pragma unroll
        for (int l = 0; l < CTK_LEVELS; ++l) held[l] = ~ctk_digits(0);
        __syncwarp();
        clear(0);
        __syncwarp();
        for (int r = 0; r < rows; r += step) count(r, 1);
        __syncwarp();
    }
    // The median of the window whose first row is `top`, then the step to the next one if there is to be one.
    __device__ __forceinline__ ctk_digits median(int top, bool more) {
        int rank = int((long long)rows * columns / 2);
        ctk_digits key = ctk_digits(find(0, rank));
#pragma unroll
        for (int l = 1; l < CTK_LEVELS; ++l) {
            if (l < levels) {
                if (held[l] != key) {
                    held[l] = key;
                    count_level(l, top, key);
                }
                key = key << 8 | ctk_digits(find(l, rank));
            }
        }
        __syncwarp();
        if (more) {
            count(top, -1);
            count(top + rows, 1);
        }
        __syncwarp();
        return key;
    }
};

// The whole batch, through a tile in shared memory; see ctk_median_tiles for the arguments. `depth`: planes of a volume,
// `planes`: of the window, both 1 for images.
template <bool VOLUME>
__device__ __forceinline__ void ctk_tiles_batch(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, long long images,
                                       int depth, int height, int width, int planes, int rows, int columns, int mode,
                                       double outside, int tile_rows) {
    extern __shared__ __align__(16) unsigned char shared[];
    int* counts = reinterpret_cast<int*>(shared);
    ctk_slot* results = reinterpret_cast<ctk_slot*>(counts + CTK_WARPS * CTK_LEVELS * CTK_BINS);
    ctk_slot* tile = results + tile_rows * CTK_TILE;
    const int lane = int(threadIdx.x), warp = int(threadIdx.y);
    const int tiles_x = (width + CTK_TILE - 1) / CTK_TILE;
    const int x0 = int(blockIdx.x) % tiles_x * CTK_TILE, y0 = int(blockIdx.x) / tiles_x * tile_rows;
    const int pitch = CTK_TILE + columns - 1, tall = (tile_rows + rows - 1) * planes;
    const int last = min(tile_rows, height - y0);
    const ctk_pixel cval = ctk_pixel(outside);
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        const int plane = VOLUME ? int(image % depth) : 0;
        const ctk_image_view<VOLUME> source = {x + (image - plane) * height * width, height, width, mode, y0 - rows / 2,
                                               x0 - columns / 2, cval, planes, depth, plane - planes / 2};
        bool whole = true;
        for (int r = warp; r < tall; r += CTK_WARPS) {
            for (int c = lane; c < pitch; c += 32) {
                const ctk_digits key = source(r, c);
                tile[r * pitch + c] = ctk_slot(key);
                whole = whole && ctk_short_whole(key);
            }
        }
        // Two digits instead of four or eight where every key of the tile allows it: a vote of the block, and its barrier.
        const bool narrow = __syncthreads_and(whole) != 0;
        if (narrow) {
            for (int r = warp; r < tall; r += CTK_WARPS)
                for (int c = lane; c < pitch; c += 32) tile[r * pitch + c] = ctk_slot(ctk_short_digits(tile[r * pitch + c]));
            __syncthreads();
        }
        ctk_walker<ctk_tile_view, VOLUME> walk;
        walk.counts = counts + warp * CTK_LEVELS * CTK_BINS;
        walk.rows = planes * rows, walk.columns = columns, walk.step = planes, walk.lane = lane;
        walk.levels = narrow ? 2 : CTK_LEVELS;
        // A warp takes a whole column of the tile, so that its histograms are made once and then only changed.
        for (int c = warp; c < CTK_TILE && x0 + c < width; c += CTK_WARPS) {
            walk.at = ctk_tile_view{tile + c, pitch};
            walk.begin();
            for (int r = 0; r < last; ++r) {
                const ctk_digits key = walk.median(r * planes, r + 1 < last);
                if (lane == 0) results[r * CTK_TILE + c] = ctk_slot(key);
            }
        }
        __syncthreads();
        for (int r = warp; r < last; r += CTK_WARPS) {
            if (x0 + lane < width) {
                const ctk_digits key = results[r * CTK_TILE + lane];
                const ctk_pixel v = narrow ? ctk_pixel(int(key) - 0x8000) : ctk_undigits<ctk_pixel>::of(key);
                out[(image * height + y0 + r) * width + x0 + lane] = v;
            }
        }
        __syncthreads();
    }
}

// The same for windows whose tile no shared memory holds: a warp takes run_rows pixels of a column and reads the image itself.
template <bool VOLUME>
__device__ __forceinline__ void ctk_columns_batch(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, long long images,
                                       int depth, int height, int width, int planes, int rows, int columns, int mode,
                                       double outside, int run_rows) {
    __shared__ __align__(16) int counts[CTK_WARPS][CTK_LEVELS * CTK_BINS];
    const int lane = int(threadIdx.x), warp = int(threadIdx.y);
    const int runs_x = (width + CTK_WARPS - 1) / CTK_WARPS;
    const int column = int(blockIdx.x) % runs_x * CTK_WARPS + warp, y0 = int(blockIdx.x) / runs_x * run_rows;
    if (column >= width) return;
    const int last = min(run_rows, height - y0);
    ctk_walker<ctk_image_view<VOLUME>, VOLUME> walk;
    walk.counts = counts[warp];
    walk.rows = planes * rows, walk.columns = columns, walk.step = planes, walk.lane = lane, walk.levels = CTK_LEVELS;
    for (long long image = blockIdx.y; image < images; image += gridDim.y) {
        const int plane = VOLUME ? int(image % depth) : 0;
        walk.at = ctk_image_view<VOLUME>{x + (image - plane) * height * width, height, width, mode, y0 - rows / 2,
                                         column - columns / 2, ctk_pixel(outside), planes, depth, plane - planes / 2};
        walk.begin();
        for (int r = 0; r < last; ++r) {
            const ctk_digits key = walk.median(r * planes, r + 1 < last);
            if (lane == 0) out[(image * height + y0 + r) * width + column] = ctk_undigits<ctk_pixel>::of(key);
        }
    }
}
