"""Small kernels with one property each, for the tests of the host shim itself."""


def kernel(body: str, name: str = "k") -> str:
    """A kernel of that name, ``(x, y, n)``; ``t`` is the thread's number."""
    return f"""extern "C" __global__ void __launch_bounds__(256) {name}(const int* __restrict__ x, int* y, int n) {{
const int t = threadIdx.x;
{body}
}}
"""


def together(table: dict[str, object]) -> str:
    """One unit with all kernels of a table, in its order: ``k0``, ``k1`` ...; one compilation for all."""
    bodies = (entry if isinstance(entry, str) else entry[0] for entry in table.values())  # type: ignore[index]
    return "\n".join(kernel(body, f"k{i}") for i, body in enumerate(bodies))


GOOD = {
    "reversed in shared memory": "__shared__ int s[64]; s[t] = x[t]; __syncthreads(); y[t] = s[63 - t];",
    "dynamic shared memory": "extern __shared__ int d[]; d[t] = x[t]; __syncthreads(); y[t] = d[63 - t];",
    "warp reduction": (
        "int v = x[t]; for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);\n"
        "  if ((t & 31) == 0) atomicAdd(&y[0], v);"
    ),
    "shared memory ordered by the warp": "__shared__ int s[64]; s[t] = x[t]; __syncwarp(); y[t] = s[t ^ 1];",
    "half a warp": "if ((t & 31) < 16) y[t] = __shfl_sync(0x0000ffffu, x[t], 3, 16);",
    "the last block sums": (
        "__shared__ int last; if (t == 0) { y[blockIdx.x] = x[blockIdx.x]; __threadfence();\n"
        "  last = atomicAdd(&y[60], 1) == (int)gridDim.x - 1; __threadfence(); }\n"
        "  __syncthreads(); if (last && t == 0) {\n"
        "  int v = 0; for (int i = 0; i < (int)gridDim.x; i++) v += y[i]; y[50] = v; }"
    ),
    "votes of the block": "y[t] = __syncthreads_count(x[t] > 3) + __syncthreads_or(x[t] > 60) + __syncthreads_and(1);",
    "vector loads": "if (t < 16) reinterpret_cast<int4*>(y)[t] = reinterpret_cast<const int4*>(x)[t];",
}

# what is wrong -> (body, words of the fault)
BAD = {
    "no barrier": ("__shared__ int s[64]; s[t] = x[t]; y[t] = s[63 - t];", "read before|race"),
    "write after read": (
        "__shared__ int s[64]; s[t] = x[t]; __syncthreads(); int v = s[63 - t]; s[t] = v + 1; y[t] = v;",
        "race",
    ),
    "plain add in shared memory": (
        "__shared__ int s; if (t == 0) s = 0; __syncthreads(); s += x[t]; y[t] = 0;",
        "race",
    ),
    "plain add between blocks": ("if (t == 0) y[0] += x[t];", "race"),
    "shared memory before any write": ("__shared__ int s[64]; y[t] = s[t];", "read before anything was written"),
    "global memory before any write": ("x += 0; y[t] = y[t] + 1;", "read before anything was written"),
    "beyond a shared array": (
        "__shared__ int s[64]; __shared__ int r[64]; int* p = s; r[t] = 0; p[t + 1] = x[t]; y[t] = 0;",
        "beyond s|beyond its object",
    ),
    "beyond the input": ("y[t] = x[t + 1];", "beyond"),
    "before the output": ("y[t - 1] = x[t];", "beyond"),
    "beyond dynamic shared memory": ("extern __shared__ int d[]; d[t + 1] = x[t]; y[t] = 0;", "beyond"),
    "barrier in a branch": ("if (t < 32) __syncthreads();\nelse __syncthreads();\ny[t] = x[t];", "divergence"),
    "barrier for some": ("if (t < 32) __syncthreads(); y[t] = x[t];", "divergence"),
    "gone before the barrier": ("if (t > 40) return; __syncthreads(); y[t] = x[t];", "gone"),
    "gone before the shuffle": ("if (t > 40) return; y[t] = __shfl_xor_sync(0xffffffffu, x[t], 1);", "deadlock"),
    "mask without the caller": ("y[t] = __shfl_sync(0xffffu, x[t], 0);", "own mask|outside"),
    "source outside the mask": ("if ((t & 31) < 16) y[t] = __shfl_sync(0xffffu, x[t], 20);", "outside of its mask"),
    "lanes at different places": (
        "int v; if (t & 1) v = __shfl_sync(~0u, x[t], 0);\nelse v = __shfl_sync(~0u, x[t], 1);\n y[t] = v;",
        "disagree",
    ),
    "signed overflow": ("y[t] = x[t] + 2147483647;", "overflow"),
    "shift out of range": ("y[t] = 1 << (x[t] + 32);", "shift"),
    "division by zero": ("y[t] = 5 / (x[t] - x[t]);", "division"),
    "index beyond a local array": ("int a[4] = {1, 2, 3, 4}; y[t] = a[x[t] + 1];", "beyond the end of an array"),
    "float out of range": ("y[t] = (int)(x[t] * 1e20f + 1e20f);", "float beyond"),
    "misaligned vector load": (
        "if (t < 4) reinterpret_cast<int4*>(y)[t] = *reinterpret_cast<const int4*>(x + 1);",
        "misaligned",
    ),
    "endless loop": ("while (x[t] >= 0) y[t] = 1;", "endless"),
    "no fence before the last block": (
        "__shared__ int last; if (t == 0) { y[blockIdx.x] = x[blockIdx.x];\n"
        "  last = atomicAdd(&y[60], 1) == (int)gridDim.x - 1; }\n"
        "  __syncthreads(); if (last && t == 0) {\n"
        "  int v = 0; for (int i = 0; i < (int)gridDim.x; i++) v += y[i]; y[50] = v; }",
        "race",
    ),
    "shuffle taken for a barrier": (
        "__shared__ int s[64]; s[t] = x[t]; int v = __shfl_sync(0xffffffffu, x[t], 0); y[t] = s[t ^ 1] + v;",
        "race|read before",
    ),
    "trap": ("if (x[t] == 7) __trap(); y[t] = 0;", "__trap"),
}
