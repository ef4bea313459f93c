// Which pixel stands where a filter reaches over the edge: the five modes of scipy.ndimage, by arithmetic.
#pragma once

#define CTK_REFLECT 0
#define CTK_MIRROR 1
#define CTK_NEAREST 2
#define CTK_WRAP 3
#define CTK_CONSTANT 4

// Position i of an axis of n pixels (below 2^30); -1 stands for cval. Right for any reach: the extension repeats itself.
__device__ __forceinline__ int ctk_border(int i, int n, int mode) {
    if (unsigned(i) < unsigned(n)) return i;
    if (mode == CTK_CONSTANT) return -1;
    if (mode == CTK_NEAREST) return i < 0 ? 0 : n - 1;
    const int period = mode == CTK_WRAP ? n : mode == CTK_REFLECT ? 2 * n : max(2 * n - 2, 1);
    int j = i % period;
    j = j < 0 ? j + period : j;
    if (j < n) return j;
    return mode == CTK_REFLECT ? period - 1 - j : period - j;
}
