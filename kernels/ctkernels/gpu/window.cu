// DICOM windowing, the modality rescale folded into the line. Specialised by CTK_IN, the pixel type; one kernel for each
// result type. The whole batch is one run of `count` pixels.
#include "line.cuh"

// 1 / (1 + exp(-z)), the CPU backend's polynomial: exp(z) = 2^k exp(r), |r| <= ln 2 / 2, Taylor to degree 7.
__device__ __forceinline__ float ctk_sigmoid(float z) {
    const float limit = 87.0f;
    float x = z < -limit ? limit : -z;
    x = x < -limit ? -limit : x;
    const float k = rintf(__fmul_rn(x, 1.4426950408889634f));
    // ln 2 in two parts, of which the first times k is exact.
    float r = __fmaf_rn(-k, 0.693359375f, x);
    r = __fmaf_rn(k, 2.12194440054690583e-4f, r);
    float p = 1.0f / 5040.0f;
    p = __fmaf_rn(p, r, 1.0f / 720.0f);
    p = __fmaf_rn(p, r, 1.0f / 120.0f);
    p = __fmaf_rn(p, r, 1.0f / 24.0f);
    p = __fmaf_rn(p, r, 1.0f / 6.0f);
    p = __fmaf_rn(p, r, 0.5f);
    p = __fmaf_rn(p, r, 1.0f);
    p = __fmaf_rn(p, r, 1.0f);
    const float power = __int_as_float((__float2int_rn(k) + 127) << 23);  // NaN converts to 0; p is NaN then
    const float unit = __fdiv_rn(1.0f, __fmaf_rn(p, power, 1.0f));
    return z < -limit ? 0.0f : unit;
}

#define CTK_WINDOW(NAME, OUT)                                                                                            \
    extern "C" __global__ void __launch_bounds__(256)                                                                    \
    ctk_window_line_##NAME(const CTK_IN* __restrict__ x, OUT* __restrict__ out, long long count, double base,            \
                           float scale, float offset, float lowest, float highest) {                                     \
        ctk_map_line(x, out, 0, count, base, scale, offset, lowest, highest);                                            \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(256)                                                                    \
    ctk_window_sigmoid_##NAME(const CTK_IN* __restrict__ x, OUT* __restrict__ out, long long count, double base,         \
                              float scale, float offset, float start, float height, float lowest, float highest) {       \
        ctk_map<2>(x, out, 0, count, [&](const auto& in, auto& result) {                                                 \
            _Pragma("unroll") for (int i = 0; i < int(sizeof(in) / sizeof(in[0])); i++) {                                \
                const float u = ctk_sigmoid(__fmaf_rn(ctk_difference<CTK_IN>(in[i], base), scale, offset));              \
                result[i] = ctk_result<OUT>::clipped(__fmaf_rn(u, height, start), lowest, highest);                      \
            }                                                                                                            \
        });                                                                                                              \
    }                                                                                                                    \
    /* float64 in the reference's order; sigmoid != 0: a is the center, b the width, else a and b are the ends */        \
    extern "C" __global__ void __launch_bounds__(256)                                                                    \
    ctk_window_exact_##NAME(const CTK_IN* __restrict__ x, OUT* __restrict__ out, long long count, int sigmoid, double a, \
                            double b, double slope, double intercept, double low, double high) {                         \
        ctk_map_each(x, out, 0, count, [&](CTK_IN pixel) {                                                               \
            const double v = __dadd_rn(__dmul_rn(ctk_wide(pixel), slope), intercept);                                    \
            const double unit = sigmoid ? 1.0 / (1.0 + exp(__ddiv_rn(__dmul_rn(-4.0, __dsub_rn(v, a)), b)))              \
                                        : ctk_scale_to_unit(v, a, b);                                                    \
            return ctk_store_unit<OUT>(unit, low, high);                                                                 \
        });                                                                                                              \
    }

CTK_WINDOW(float32, float)
CTK_WINDOW(uint8, unsigned char)
CTK_WINDOW(uint16, unsigned short)
