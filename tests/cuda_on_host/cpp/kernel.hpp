// Stands before the unmodified kernel source when g++ compiles it: qualifiers, barriers, collectives, atomics.
// Not offered, so that a kernel that needs it does not compile: textures, cooperative grids, async copies, inline PTX,
// launches from the device, __activemask.
#pragma once
#include "builtins.hpp"
#include "intrinsics.hpp"
#include "vectors.hpp"

#define __CUDACC__ 1
#define __CUDACC_RTC__ 1
#ifndef __CUDA_ARCH__
#define __CUDA_ARCH__ 750
#endif
#define __host__
#define __device__ __attribute__((unused))
#define __constant__
#define __managed__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __attribute__((aligned(n)))
#define __grid_constant__
// One block runs at a time, so that shared memory is static. 64 KiB apart, no variable's end touches the next one; the
// loader knows shared variables by that alignment (g++ ignores a section attribute inside templates).
#define __shared__ static __attribute__((aligned(65536), unused))

#define threadIdx ctkh_thread_index()
#define blockIdx ctkh_block_index()
#define blockDim ctkh_block_dim()
#define gridDim ctkh_grid_dim()
#define warpSize 32

template <typename T> inline uint64_t ctkh_word(T v) {
    static_assert(sizeof(T) <= 8, "warp collectives move at most 8 bytes");
    uint64_t u = 0;
    __builtin_memcpy(&u, &v, sizeof v);
    return u;
}
template <typename T> inline T ctkh_shuffle(unsigned mask, T v, int source, int op, int line) {
    const uint64_t u = ctkh_warp_exchange(mask, ctkh_word(v), source, op, line);
    T r;
    __builtin_memcpy(&r, &u, sizeof r);
    return r;
}
inline int ctkh_segment(int width) { return int(ctkh_lane()) & ~(width - 1); }
template <typename T> inline T ctkh_shfl(int line, unsigned mask, T v, int source, int width = 32) {
    return ctkh_shuffle(mask, v, ctkh_segment(width) + (source & (width - 1)), 2, line);
}
template <typename T> inline T ctkh_shfl_up(int line, unsigned mask, T v, unsigned d, int width = 32) {
    const int source = int(ctkh_lane()) - int(d);
    return ctkh_shuffle(mask, v, source < ctkh_segment(width) ? int(ctkh_lane()) : source, 3, line);
}
template <typename T> inline T ctkh_shfl_down(int line, unsigned mask, T v, unsigned d, int width = 32) {
    const int source = int(ctkh_lane()) + int(d);
    return ctkh_shuffle(mask, v, source >= ctkh_segment(width) + width ? int(ctkh_lane()) : source, 4, line);
}
template <typename T> inline T ctkh_shfl_xor(int line, unsigned mask, T v, int x, int width = 32) {
    const int source = int(ctkh_lane()) ^ x;
    return ctkh_shuffle(mask, v, source >= ctkh_segment(width) + width ? int(ctkh_lane()) : source, 5, line);
}
inline void ctkh_syncwarp(int line, unsigned mask = 0xffffffffu) { ctkh_warp_barrier(mask, 1, line); }
#define __syncthreads() ctkh_block_barrier(__LINE__)
#define __syncthreads_count(p) ctkh_block_vote(0, (p) != 0, __LINE__)
#define __syncthreads_and(p) ctkh_block_vote(1, (p) != 0, __LINE__)
#define __syncthreads_or(p) ctkh_block_vote(2, (p) != 0, __LINE__)
#define __syncwarp(...) ctkh_syncwarp(__LINE__ __VA_OPT__(,) __VA_ARGS__)
#define __shfl_sync(...) ctkh_shfl(__LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) ctkh_shfl_up(__LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) ctkh_shfl_down(__LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) ctkh_shfl_xor(__LINE__, __VA_ARGS__)
#define __ballot_sync(mask, p) ctkh_warp_gather(mask, (p) ? 1 : 0, 0, 6, __LINE__)
#define __any_sync(mask, p) int(ctkh_warp_gather(mask, (p) ? 1 : 0, 0, 8, __LINE__) != 0)
#define __all_sync(mask, p) int(ctkh_warp_gather(mask, (p) ? 0 : 1, 0, 9, __LINE__) == 0)
#define __match_any_sync(mask, v) ctkh_warp_gather(mask, ctkh_word(v), 1, 7, __LINE__)
#define __threadfence() ctkh_fence(1)
#define __threadfence_block() ctkh_fence(0)
#define __trap() ctkh_trap("__trap", __LINE__)

// Atomics by the compiler's own, which the access hooks see as such.
#define CTKH_INLINE inline __attribute__((always_inline))
template <typename T> CTKH_INLINE T ctkh_cas(T* p, T expected, T value) {
    __atomic_compare_exchange(p, &expected, &value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return expected;
}
template <typename T, typename F> CTKH_INLINE T ctkh_update(T* p, F next) {
    T old, value;
    __atomic_load(p, &old, __ATOMIC_RELAXED);
    do value = next(old);
    while (!__atomic_compare_exchange(p, &old, &value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}
#define CTKH_ATOMICS(T) \
    CTKH_INLINE T atomicAdd(T* p, T v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); } \
    CTKH_INLINE T atomicExch(T* p, T v) { return __atomic_exchange_n(p, v, __ATOMIC_RELAXED); } \
    CTKH_INLINE T atomicAnd(T* p, T v) { return __atomic_fetch_and(p, v, __ATOMIC_RELAXED); } \
    CTKH_INLINE T atomicOr(T* p, T v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); } \
    CTKH_INLINE T atomicXor(T* p, T v) { return __atomic_fetch_xor(p, v, __ATOMIC_RELAXED); } \
    CTKH_INLINE T atomicCAS(T* p, T e, T v) { return ctkh_cas(p, e, v); } \
    CTKH_INLINE T atomicMin(T* p, T v) { return ctkh_update(p, [v](T o) { return o < v ? o : v; }); } \
    CTKH_INLINE T atomicMax(T* p, T v) { return ctkh_update(p, [v](T o) { return o > v ? o : v; }); }
CTKH_ATOMICS(int) CTKH_ATOMICS(unsigned) CTKH_ATOMICS(unsigned long long)
CTKH_INLINE int atomicSub(int* p, int v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED); }
CTKH_INLINE unsigned atomicSub(unsigned* p, unsigned v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED); }
CTKH_INLINE long long atomicMin(long long* p, long long v) { return ctkh_update(p, [v](long long o) { return o < v ? o : v; }); }
CTKH_INLINE long long atomicMax(long long* p, long long v) { return ctkh_update(p, [v](long long o) { return o > v ? o : v; }); }
CTKH_INLINE unsigned atomicInc(unsigned* p, unsigned top) { return ctkh_update(p, [top](unsigned o) { return o >= top ? 0u : o + 1; }); }
CTKH_INLINE float atomicAdd(float* p, float v) { return ctkh_update(p, [v](float o) { return o + v; }); }
CTKH_INLINE double atomicAdd(double* p, double v) { return ctkh_update(p, [v](double o) { return o + v; }); }

template <typename T> CTKH_INLINE T __ldg(const T* p) { return *p; }
template <typename T> CTKH_INLINE T __ldcs(const T* p) { return *p; }
template <typename T> CTKH_INLINE T __ldcg(const T* p) { return *p; }
template <typename T> CTKH_INLINE T __ldca(const T* p) { return *p; }
template <typename T> CTKH_INLINE void __stcs(T* p, T v) { *p = v; }
template <typename T> CTKH_INLINE void __stcg(T* p, T v) { *p = v; }

#ifndef CTKH_MARK  // the builder's first pass keeps these as words, to find the kernels
#define __global__ __attribute__((visibility("hidden")))
#define __launch_bounds__(...)
#endif
