// Counts between edges, equal to numpy.histogram. Specialised by CTK_IN, the pixel type.
// Integers: a table from value to bin. Floats: the position by arithmetic, in the image's own precision, and where it comes
// within its error bound of an edge, a comparison with that edge (as integer keys, which see subnormals).
#include "map.cuh"

// What pixels are looked up in: the bin of each value, or the edges.
template <typename T> struct ctk_look_up { typedef int type; };
template <> struct ctk_look_up<float> { typedef float type; };
template <> struct ctk_look_up<double> { typedef double type; };
typedef ctk_look_up<CTK_IN>::type ctk_table;
typedef ctk_keys<CTK_IN>::type ctk_bound;

__device__ __forceinline__ int ctk_round_down(float v) { return __float2int_rd(v); }
__device__ __forceinline__ int ctk_round_down(double v) { return __double2int_rd(v); }
__device__ __forceinline__ float ctk_position(float v, float first, float scale) { return __fmul_rn(__fsub_rn(v, first), scale); }
__device__ __forceinline__ double ctk_position(double v, double first, double scale) { return __dmul_rn(__dsub_rn(v, first), scale); }

// Both zeros are one value: -1 is the key of -0 alone.
template <typename T> __device__ __forceinline__ typename ctk_keys<T>::type ctk_key_of_number(T v) {
    const typename ctk_keys<T>::type key = ctk_key(v);
    return key == -1 ? 0 : key;
}

// Bin of a pixel, negative outside. begin, end: keys of the first and the last edge. error: bound of the position's error in
// bins, at most a quarter, or above 1.
template <typename T> struct ctk_binning {
    typedef typename ctk_look_up<T>::type N;
    typedef typename ctk_keys<T>::type K;
    const N* __restrict__ table;
    K begin, end;
    N first, scale, error;
    int bins;

    __device__ __forceinline__ int operator()(T v) const {
        if constexpr (!ctk_is_float<T>::value) {
            return __ldg(table + (int(v) - (T(-1) < T(0) ? -32768 : 0)));
        } else {
            const K key = ctk_key(v);
            if (key < begin || key > end) return -1;
            const N position = ctk_position(v, first, scale);
            int k = ctk_round_down(position);
            k = k < 0 ? 0 : k > bins - 1 ? bins - 1 : k;
            // Only a pixel so near an edge that the position's error could have moved it is compared with the edge itself.
            const N share = position - N(k);
            if (share < error || share > N(1) - error) {
                const K number = ctk_key_of_number(v);
                if (number < ctk_key(__ldg(table + k))) k--;
                else if (k + 1 < bins && number >= ctk_key(__ldg(table + k + 1))) k++;
            }
            return k;
        }
    }
    // Whether positions are of no use: edges too close together, or too far apart, for the precision of the pixels.
    __device__ __forceinline__ bool must_search() const { return ctk_is_float<T>::value && error > N(1); }
    // The bin by halving.
    __device__ __forceinline__ int search(T v) const {
        const K key = ctk_key(v);
        if (key < begin || key > end) return -1;
        const K number = ctk_key_of_number(v);
        int below = 0, above = bins;
        while (above - below > 1) {
            const int middle = (below + above) / 2;
            if (number >= K(ctk_key(T(__ldg(table + middle))))) below = middle;
            else above = middle;
        }
        return below;
    }
    // Calls f(bin) for all pixels of a part of an image.
    template <typename F>
    __device__ __forceinline__ void visit(const T* __restrict__ x, long long start, long long pixels, F f) const {
        const int part = int(blockIdx.x), parts = int(gridDim.x);
        if (must_search()) {
            ctk_visit_each(x, start, pixels, part, parts, [&](T v) { f(search(v)); });
        } else {
            ctk_visit<sizeof(T) == 1 ? 1 : 2>(x, start, pixels, part, parts, [&](const auto& in) {
#pragma unroll
                for (int i = 0; i < int(sizeof(in) / sizeof(in[0])); i++) f((*this)(in[i]));
            });
        }
    }
};

// Four blocks a multiprocessor, of both kernels: left alone, ptxas aims at eight and spills.
extern __shared__ unsigned ctk_tally[];

// Counters in shared memory, `copies` of them so that neighbours disturb each other less, for the `width` bins from
// blockIdx.z * width on. A block adds what it counted to `out`, which is zero before.
extern "C" __global__ void __launch_bounds__(256, 4)
ctk_histogram_shared(const CTK_IN* __restrict__ x, long long pixels, int images, const ctk_table* __restrict__ table, ctk_bound begin,
                     ctk_bound end, ctk_table first, ctk_table scale, ctk_table error, int bins, int width, int copies,
                     unsigned long long* __restrict__ out) {
    const ctk_binning<CTK_IN> bin = {table, begin, end, first, scale, error, bins};
    const int base = int(blockIdx.z) * width;
    const int own = bins - base < width ? bins - base : width;
    unsigned* const mine = ctk_tally + int(threadIdx.x >> 5) % copies * width;
    for (int image = int(blockIdx.y); image < images; image += int(gridDim.y)) {
        for (int i = int(threadIdx.x); i < width * copies; i += int(blockDim.x)) ctk_tally[i] = 0;
        __syncthreads();
        bin.visit(x, image * pixels, pixels, [&](int k) {
            if (unsigned(k - base) < unsigned(own)) atomicAdd(&mine[k - base], 1u);
        });
        __syncthreads();
        for (int k = int(threadIdx.x); k < own; k += int(blockDim.x)) {
            unsigned long long sum = 0;
            for (int c = 0; c < copies; c++) sum += ctk_tally[c * width + k];
            if (sum) atomicAdd(&out[(long long)image * bins + base + k], sum);
        }
        __syncthreads();
    }
}

// More bins than shared memory holds, or too few pixels to make it worth while.
extern "C" __global__ void __launch_bounds__(256, 4)
ctk_histogram_global(const CTK_IN* __restrict__ x, long long pixels, int images, const ctk_table* __restrict__ table, ctk_bound begin,
                     ctk_bound end, ctk_table first, ctk_table scale, ctk_table error, int bins,
                     unsigned long long* __restrict__ out) {
    const ctk_binning<CTK_IN> bin = {table, begin, end, first, scale, error, bins};
    for (int image = int(blockIdx.y); image < images; image += int(gridDim.y)) {
        unsigned long long* const counts = out + (long long)image * bins;
        bin.visit(x, image * pixels, pixels, [&](int k) {
            if (k >= 0) atomicAdd(&counts[k], 1ULL);
        });
    }
}
