// Ranks of windows of any shape, medians among them, bit by bit. CTK_PIXEL: type of the images.
//
// A thread finds the key of one pixel's result from its highest bit down: the largest key below which no more than `rank`
// pixels of the window lie. That is a pass over the window for each bit of the type, out of the first-level cache, without
// memory or registers that grow with the window.
#include "border.cuh"
#include "median_keys.cuh"

typedef CTK_PIXEL ctk_pixel;

// Keys as unsigned numbers of the type's width that begin at 0.
__device__ __forceinline__ unsigned ctk_rising(ctk_u8, int key) { return unsigned(key); }
__device__ __forceinline__ unsigned ctk_rising(ctk_u16, int key) { return unsigned(key); }
__device__ __forceinline__ unsigned ctk_rising(short, int key) { return unsigned(key + 32768); }
__device__ __forceinline__ unsigned ctk_rising(float, int key) { return unsigned(key) ^ 0x80000000u; }
__device__ __forceinline__ ctk_u64 ctk_rising(double, long long key) { return ctk_u64(key) ^ 0x8000000000000000ULL; }
__device__ __forceinline__ ctk_u8 ctk_risen(ctk_u8, unsigned u) { return ctk_u8(u); }
__device__ __forceinline__ ctk_u16 ctk_risen(ctk_u16, unsigned u) { return ctk_u16(u); }
__device__ __forceinline__ short ctk_risen(short, unsigned u) { return short(int(u) - 32768); }
__device__ __forceinline__ float ctk_risen(float, unsigned u) { return ctk_sorted_pixel<float>::of(int(u ^ 0x80000000u)); }
__device__ __forceinline__ double ctk_risen(double, ctk_u64 u) {
    return ctk_sorted_pixel<double>::of((long long)(u ^ 0x8000000000000000ULL));
}

// offsets: planes, rows and columns from the pixel to each of the window's `ones` pixels; reach: the furthest of each. Images
// are volumes of one plane. count: pixels of all volumes.
extern "C" __global__ void __launch_bounds__(256)
ctk_median_footprint(const ctk_pixel* __restrict__ x, ctk_pixel* __restrict__ out, long long count, int depth, int height,
                     int width, const int* __restrict__ offsets, int ones, int rank, int reach_z, int reach_y, int reach_x,
                     int mode_z, int mode_y, int mode_x, double outside) {
    const ctk_pixel beyond = ctk_pixel(outside);
    const long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride) {
        const int column = int(i % width), row = int(i / width % height), plane = int(i / width / height % depth);
        const ctk_pixel* const volume = x + (i - ((long long)plane * height + row) * width - column);
        const bool inside = plane >= reach_z && plane < depth - reach_z && row >= reach_y && row < height - reach_y &&
                            column >= reach_x && column < width - reach_x;
        decltype(ctk_rising(beyond, ctk_sorted(beyond))) found = 0;
        for (int bit = int(sizeof(ctk_pixel)) * 8 - 1; bit >= 0; bit--) {
            const auto candidate = found | decltype(found)(1) << bit;
            int below = 0;
            for (int k = 0; k < ones; k++) {
                int z = plane + __ldg(offsets + 3 * k), y = row + __ldg(offsets + 3 * k + 1), c = column + __ldg(offsets + 3 * k + 2);
                if (!inside) {
                    z = ctk_border(z, depth, mode_z);
                    y = ctk_border(y, height, mode_y);
                    c = ctk_border(c, width, mode_x);
                }
                const bool there = (z | y | c) >= 0;
                const ctk_pixel v = there ? __ldg(volume + ((long long)z * height + y) * width + c) : beyond;
                below += ctk_rising(v, ctk_sorted(v)) < candidate;
            }
            found = below <= rank ? candidate : found;
        }
        out[i] = ctk_risen(beyond, found);
    }
}
