// Pixels that a mask leaves out become NaN, which no statistic counts. Specialised by CTK_IN, the pixel type; floats hold every
// 8- and 16-bit integer. Bits are moved and not computed with, so that subnormals stay.
#include "common.cuh"

__device__ __forceinline__ double ctk_not_a(double) { return __longlong_as_double(0x7ff8000000000000LL); }
__device__ __forceinline__ float ctk_not_a(float) { return __int_as_float(0x7fc00000); }

#define CTK_MASKED(NAME, OUT)                                                                                            \
    extern "C" __global__ void __launch_bounds__(256)                                                                    \
    ctk_masked_##NAME(const CTK_IN* __restrict__ x, const unsigned char* __restrict__ keep, OUT* __restrict__ out,       \
                      long long count) {                                                                                 \
        const long long stride = (long long)gridDim.x * blockDim.x;                                                      \
        for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride)                     \
            out[i] = __ldg(keep + i) ? OUT(__ldg(x + i)) : ctk_not_a(OUT(0));                                            \
    }

CTK_MASKED(float32, float)
CTK_MASKED(float64, double)
