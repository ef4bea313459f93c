// Box-plot statistics of each image: moments, extremes, percentiles. Specialised by CTK_IN, the pixel type.
#include "moments.cuh"
#include "select.cuh"

CTK_MOMENTS_KERNEL(summary)
CTK_SELECT_KERNELS(summary)

// count, mean, sd, minimum, maximum to the first five columns. Eight images a block, one warp each.
extern "C" __global__ void __launch_bounds__(256)
ctk_summary_row(const long long* __restrict__ table, const long long* __restrict__ shrunk, int images, int parts,
                double* __restrict__ out, int stride) {
    const int image = int(blockIdx.x * 8 + (threadIdx.x >> 5));
    if (image >= images) return;
    const ctk_moments m = ctk_image_moments<CTK_IN>(table, shrunk, image, parts);
    if (threadIdx.x & 31) return;
    typedef ctk_keys<CTK_IN>::type K;
    const double nothing = __longlong_as_double(0x7ff8000000000000LL);
    double* const row = out + (long long)image * stride;
    row[0] = double(m.count);
    row[1] = m.count ? m.mean : nothing;
    row[2] = m.count ? m.sd : nothing;
    row[3] = m.count ? ctk_unkey<CTK_IN>::wide(K(m.low)) : nothing;
    row[4] = m.count ? ctk_unkey<CTK_IN>::wide(K(m.high)) : nothing;
}
