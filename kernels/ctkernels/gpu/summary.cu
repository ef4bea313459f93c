// Box-plot figures of each image: moments, extremes, percentiles. Specialised by CTK_IN, the pixel type.
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
    const ctk_moments found = ctk_image_moments<CTK_IN>(table, shrunk, image, parts);
    if (threadIdx.x & 31) return;
    typedef ctk_keys<CTK_IN>::type K;
    const double nothing = __longlong_as_double(0x7ff8000000000000LL);
    double* const row = out + (long long)image * stride;
    row[0] = double(found.count);
    row[1] = found.count ? found.mean : nothing;
    row[2] = found.count ? found.sd : nothing;
    row[3] = found.count ? ctk_unkey<CTK_IN>::wide(K(found.low)) : nothing;
    row[4] = found.count ? ctk_unkey<CTK_IN>::wide(K(found.high)) : nothing;
}
