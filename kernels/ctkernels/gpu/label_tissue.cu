// Tissue labels: how many of the rising edges each pixel reaches. Comparisons are of integer keys, so float32 subnormals
// count as what they are; an edge of 0 is the key of -0.
// Specialised by CTK_IN, the pixel type.
#include "map.cuh"

#define CTK_MOST_EDGES 254
#define CTK_NO_LABEL 255

typedef ctk_keys<CTK_IN>::type ctk_edge;

// The whole batch is one run of `count` pixels. `edges`: the smallest keys that reach each edge; `below`: how many edges
// every value of the type reaches.
extern "C" __global__ void __launch_bounds__(256)
ctk_label_tissue(const CTK_IN* __restrict__ x, unsigned char* __restrict__ out, long long count,
                 const ctk_edge* __restrict__ edges, int number, int below) {
    __shared__ ctk_edge reach[CTK_MOST_EDGES];
    for (int k = int(threadIdx.x); k < number; k += int(blockDim.x)) reach[k] = edges[k];
    __syncthreads();
    ctk_map<2>(x, out, 0, count, [&](const auto& in, auto& labels) {
        constexpr int n = int(sizeof(in) / sizeof(in[0]));
        ctk_edge key[n];
        int label[n];
#pragma unroll
        for (int i = 0; i < n; i++) {
            key[i] = ctk_key(in[i]);
            label[i] = below;
        }
        for (int k = 0; k < number; k++) {
            const ctk_edge edge = reach[k];
#pragma unroll
            for (int i = 0; i < n; i++) label[i] += key[i] >= edge;
        }
#pragma unroll
        for (int i = 0; i < n; i++) labels[i] = (unsigned char)(ctk_is_nan(in[i]) ? CTK_NO_LABEL : label[i]);
    });
}
