// One axis of a Gaussian's derivative: a correlation with even or odd weights, summed in double. CTK_IN, CTK_OUT: types of
// the images. A thread sums the pixels of one result out of the first-level cache; neighbours side by side read side by side.
#include "border.cuh"
#include "line.cuh"

// n, inner: pixels of the axis, and of all axes behind it. weights: of a pixel and those behind it, `sign` times these before.
extern "C" __global__ void __launch_bounds__(256)
ctk_gaussian_derivative(const CTK_IN* __restrict__ x, CTK_OUT* __restrict__ out, long long count, long long inner, int n,
                        const double* __restrict__ weights, int radius, double sign, int mode, double outside) {
    const long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride) {
        const int place = int(i / inner % n);
        const CTK_IN* const line = x + (i - place * inner);
        double sum = __ldg(weights) * ctk_wide(__ldg(x + i));
        for (int k = 1; k <= radius; k++) {
            const int a = ctk_border(place - k, n, mode), b = ctk_border(place + k, n, mode);
            const double before = a < 0 ? outside : ctk_wide(__ldg(line + a * inner));
            const double behind = b < 0 ? outside : ctk_wide(__ldg(line + b * inner));
            sum += __ldg(weights + k) * (behind + sign * before);  // added first: an odd derivative of a constant is 0
        }
        out[i] = ctk_result<CTK_OUT>::store(sum);
    }
}
