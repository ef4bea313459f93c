// Modality rescale, x * slope + intercept. Specialised by CTK_IN, the pixel type; one kernel for each result type.
#include "line.cuh"

// float32 results of slopes that float32 holds; rounded twice as NumPy does, never fused.
extern "C" __global__ void __launch_bounds__(256)
ctk_rescale_narrow_float32(const CTK_IN* __restrict__ x, float* __restrict__ out, long long count, float slope, float intercept) {
    ctk_map<4>(x, out, 0, count, [&](const auto& in, auto& result) {
#pragma unroll
        for (int i = 0; i < int(sizeof(in) / sizeof(in[0])); i++)
            result[i] = __fadd_rn(__fmul_rn(float(in[i]), slope), intercept);
    });
}

// float64 arithmetic, NumPy's own bits; integers rounded half to even, saturated, NaN the lowest.
#define CTK_RESCALE(NAME, OUT)                                                                                           \
    extern "C" __global__ void __launch_bounds__(256)                                                                    \
    ctk_rescale_wide_##NAME(const CTK_IN* __restrict__ x, OUT* __restrict__ out, long long count, double slope,          \
                            double intercept) {                                                                          \
        ctk_map<2>(x, out, 0, count, [&](const auto& in, auto& result) {                                                 \
            _Pragma("unroll") for (int i = 0; i < int(sizeof(in) / sizeof(in[0])); i++)                                  \
                result[i] = ctk_result<OUT>::store(__dadd_rn(__dmul_rn(ctk_wide(in[i]), slope), intercept));             \
        });                                                                                                              \
    }

CTK_RESCALE(float32, float)
CTK_RESCALE(float64, double)
CTK_RESCALE(int16, short)
