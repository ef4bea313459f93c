// Z-score: moments of each image, then the line (x - mean) / sd. Specialised by CTK_IN, the pixel type.
#include "moments.cuh"
#include "ranges.cuh"

CTK_MOMENTS_KERNEL(standardize)

// Eight images a block, one warp each. narrow: results are float32. given_mean, given_sd: instead of the image's own, or NaN;
// with both, there are no parts.
extern "C" __global__ void __launch_bounds__(256)
ctk_standardize_range(const long long* __restrict__ table, const long long* __restrict__ shrunk, int images, int parts,
                      int narrow, double given_mean, double given_sd, double* __restrict__ parameters) {
    const int image = int(blockIdx.x * 8 + (threadIdx.x >> 5));
    if (image >= images) return;
    ctk_moments m = ctk_image_moments<CTK_IN>(table, shrunk, image, parts);
    if (threadIdx.x & 31) return;
    double* const p = parameters + (long long)image * CTK_PARAMETERS;
    const bool own_mean = given_mean != given_mean, own_sd = given_sd != given_sd;
    const bool lacking = m.count == 0 && (own_mean || own_sd);
    m.mean = own_mean ? m.mean : given_mean;
    m.sd = own_sd ? m.sd : given_sd;
    if (lacking || !(m.sd > 0.0)) ctk_set_mode(p, CTK_EMPTY, 0.0, 0.0);
    else if (narrow && ctk_line_fits(m.mean, m.sd, 0.0, 1.0))
        ctk_set_line(p, ctk_line_of(m.mean, ctk_base_of<CTK_IN>(m.mean), m.sd, 0.0, 1.0));
    else ctk_set_mode(p, CTK_SCORES, m.mean, m.sd);
}

// Three blocks a multiprocessor: left alone, ptxas aims at more, and spills around the divisions of the rare modes.
#define CTK_STANDARDIZE(NAME, OUT)                                                                                       \
    extern "C" __global__ void __launch_bounds__(256, 3)                                                                 \
    ctk_standardize_map_##NAME(const CTK_IN* __restrict__ x, OUT* __restrict__ out, long long pixels, int images,        \
                               const double* __restrict__ parameters) {                                                  \
        const float endless = __int_as_float(0x7f800000);                                                                \
        ctk_map_ranges(x, out, pixels, images, parameters, 0.0, 1.0, -endless, endless);                                 \
    }

CTK_STANDARDIZE(float32, float)
CTK_STANDARDIZE(float64, double)
