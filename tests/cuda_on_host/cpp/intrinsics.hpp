// Arithmetic intrinsics of CUDA with CUDA's results: rounding that no contraction can change, saturating conversions,
// minima and maxima that drop NaN and order -0 below +0.
#pragma once
#include <cmath>
#include <cstdint>
#include <type_traits>

template <typename To, typename From> inline To ctkh_bits(From v) {
    static_assert(sizeof(To) == sizeof(From));
    To r;
    __builtin_memcpy(&r, &v, sizeof r);
    return r;
}
// An opaque copy: the compiler can't contract what is computed before and after it.
template <typename T> inline __attribute__((always_inline)) T ctkh_opaque(T v) {
#if defined(__x86_64__)
    asm("" : "+x"(v));
#elif defined(__aarch64__)
    asm("" : "+w"(v));
#else
    volatile T copy = v;
    v = copy;
#endif
    return v;
}

inline float __fmul_rn(float a, float b) { return ctkh_opaque(a * b); }
inline float __fadd_rn(float a, float b) { return ctkh_opaque(ctkh_opaque(a) + ctkh_opaque(b)); }
inline float __fsub_rn(float a, float b) { return ctkh_opaque(ctkh_opaque(a) - ctkh_opaque(b)); }
inline float __fdiv_rn(float a, float b) { return ctkh_opaque(a / b); }
inline float __frcp_rn(float a) { return ctkh_opaque(1.0f / a); }
inline float __fsqrt_rn(float a) { return __builtin_sqrtf(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __dmul_rn(double a, double b) { return ctkh_opaque(a * b); }
inline double __dadd_rn(double a, double b) { return ctkh_opaque(ctkh_opaque(a) + ctkh_opaque(b)); }
inline double __dsub_rn(double a, double b) { return ctkh_opaque(ctkh_opaque(a) - ctkh_opaque(b)); }
inline double __ddiv_rn(double a, double b) { return ctkh_opaque(a / b); }
inline double __drcp_rn(double a) { return ctkh_opaque(1.0 / a); }
inline double __dsqrt_rn(double a) { return __builtin_sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float a) { return std::exp(a); }
inline float __saturatef(float a) { return !(a > 0.0f) ? 0.0f : a > 1.0f ? 1.0f : a; }
inline float rsqrtf(float a) { return 1.0f / std::sqrt(a); }

// NaN becomes 0, or the lowest number of 64-bit types; what is out of range the nearest limit (PTX cvt).
template <typename I, typename F> inline I ctkh_convert(F v) {
    constexpr I low = I(-1) < I(0) ? I(I(1) << (sizeof(I) * 8 - 1)) : I(0), high = I(~low);
    if (v != v) return sizeof(I) == 8 ? I(I(1) << 63) : I(0);
    if (v <= F(low)) return low;
    if (v >= F(high)) return high;
    return I(v);
}
#define CTKH_CONVERT(F, f, I, i) \
    inline I __##f##2##i##_rn(F v) { return ctkh_convert<I>(std::nearbyint(v)); } \
    inline I __##f##2##i##_rz(F v) { return ctkh_convert<I>(std::trunc(v)); } \
    inline I __##f##2##i##_rd(F v) { return ctkh_convert<I>(std::floor(v)); } \
    inline I __##f##2##i##_ru(F v) { return ctkh_convert<I>(std::ceil(v)); }
CTKH_CONVERT(float, float, int, int) CTKH_CONVERT(float, float, unsigned, uint)
CTKH_CONVERT(float, float, long long, ll) CTKH_CONVERT(float, float, unsigned long long, ull)
CTKH_CONVERT(double, double, int, int) CTKH_CONVERT(double, double, unsigned, uint)
CTKH_CONVERT(double, double, long long, ll) CTKH_CONVERT(double, double, unsigned long long, ull)
inline float __int2float_rn(int v) { return float(v); }
inline float __uint2float_rn(unsigned v) { return float(v); }
inline float __ll2float_rn(long long v) { return float(v); }
inline float __ull2float_rn(unsigned long long v) { return float(v); }
inline float __double2float_rn(double v) { return float(v); }
inline double __int2double_rn(int v) { return v; }
inline double __uint2double_rn(unsigned v) { return v; }
inline double __ll2double_rn(long long v) { return double(v); }
inline double __ull2double_rn(unsigned long long v) { return double(v); }

inline int __float_as_int(float v) { return ctkh_bits<int>(v); }
inline unsigned __float_as_uint(float v) { return ctkh_bits<unsigned>(v); }
inline float __int_as_float(int v) { return ctkh_bits<float>(v); }
inline float __uint_as_float(unsigned v) { return ctkh_bits<float>(v); }
inline long long __double_as_longlong(double v) { return ctkh_bits<long long>(v); }
inline double __longlong_as_double(long long v) { return ctkh_bits<double>(v); }
inline int __double2hiint(double v) { return int(ctkh_bits<uint64_t>(v) >> 32); }
inline int __double2loint(double v) { return int(ctkh_bits<uint64_t>(v)); }
inline double __hiloint2double(int hi, int lo) { return ctkh_bits<double>(uint64_t(unsigned(hi)) << 32 | unsigned(lo)); }

inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __ffsll(long long v) { return __builtin_ffsll(v); }
inline int __clz(int v) { return v ? __builtin_clz(unsigned(v)) : 32; }
inline int __clzll(long long v) { return v ? __builtin_clzll((unsigned long long)v) : 64; }
inline unsigned __brev(unsigned v) {
    unsigned r = 0;
    for (int i = 0; i < 32; i++) r |= (v >> i & 1u) << (31 - i);
    return r;
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned s) {
    const uint64_t both = uint64_t(b) << 32 | a;
    unsigned r = 0;
    for (int i = 0; i < 4; i++) r |= unsigned(both >> ((s >> 4 * i & 7) * 8) & 0xFF) << 8 * i;
    return r;
}
inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned n) { return unsigned((uint64_t(hi) << 32 | lo) << (n & 31) >> 32); }
inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned n) { return unsigned((uint64_t(hi) << 32 | lo) >> (n & 31)); }
inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned long long)((unsigned __int128)a * b >> 64); }

// Two 16-bit or four 8-bit lanes in a word. Not inlined: a median of 11 by 11 has a thousand of them.
template <typename L, bool MAX> __attribute__((noinline, const)) unsigned ctkh_lanes(unsigned a, unsigned b) {
    unsigned r = 0;
    for (unsigned i = 0; i < 4 / sizeof(L); i++) {
        const int s = int(i * sizeof(L) * 8);
        const L x = L(a >> s), y = L(b >> s);
        r |= unsigned(typename std::make_unsigned<L>::type((MAX ? x > y : x < y) ? x : y)) << s;
    }
    return r;
}

inline unsigned __vminu2(unsigned a, unsigned b) { return ctkh_lanes<uint16_t, false>(a, b); }
inline unsigned __vmaxu2(unsigned a, unsigned b) { return ctkh_lanes<uint16_t, true>(a, b); }
inline unsigned __vmins2(unsigned a, unsigned b) { return ctkh_lanes<int16_t, false>(a, b); }
inline unsigned __vmaxs2(unsigned a, unsigned b) { return ctkh_lanes<int16_t, true>(a, b); }
inline unsigned __vminu4(unsigned a, unsigned b) { return ctkh_lanes<uint8_t, false>(a, b); }
inline unsigned __vmaxu4(unsigned a, unsigned b) { return ctkh_lanes<uint8_t, true>(a, b); }
inline unsigned __vmins4(unsigned a, unsigned b) { return ctkh_lanes<int8_t, false>(a, b); }
inline unsigned __vmaxs4(unsigned a, unsigned b) { return ctkh_lanes<int8_t, true>(a, b); }

template <typename F> inline F ctkh_min(F a, F b) { return a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? a : b) : a < b ? a : b; }
template <typename F> inline F ctkh_max(F a, F b) { return a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? b : a) : a > b ? a : b; }
#define CTKH_MINMAX(T) inline T min(T a, T b) { return a < b ? a : b; } inline T max(T a, T b) { return a > b ? a : b; }
CTKH_MINMAX(int) CTKH_MINMAX(unsigned) CTKH_MINMAX(long) CTKH_MINMAX(unsigned long) CTKH_MINMAX(long long) CTKH_MINMAX(unsigned long long)
#define CTKH_MIXED1(NAME, R, A, B) inline R NAME(A a, B b) { return NAME(static_cast<R>(a), static_cast<R>(b)); }
#define CTKH_MIXED(R, A, B) CTKH_MIXED1(min, R, A, B) CTKH_MIXED1(min, R, B, A) CTKH_MIXED1(max, R, A, B) CTKH_MIXED1(max, R, B, A)
CTKH_MIXED(unsigned, int, unsigned) CTKH_MIXED(unsigned long long, long long, unsigned long long)
CTKH_MIXED(unsigned long, long, unsigned long)
inline float min(float a, float b) { return ctkh_min(a, b); }
inline float max(float a, float b) { return ctkh_max(a, b); }
inline double min(double a, double b) { return ctkh_min(a, b); }
inline double max(double a, double b) { return ctkh_max(a, b); }
inline double min(float a, double b) { return ctkh_min(double(a), b); }
inline double max(float a, double b) { return ctkh_max(double(a), b); }
inline double min(double a, float b) { return ctkh_min(a, double(b)); }
inline double max(double a, float b) { return ctkh_max(a, double(b)); }
inline float ctkh_fminf(float a, float b) { return ctkh_min(a, b); }
inline float ctkh_fmaxf(float a, float b) { return ctkh_max(a, b); }
inline double ctkh_fmin(double a, double b) { return ctkh_min(a, b); }
inline double ctkh_fmax(double a, double b) { return ctkh_max(a, b); }
#define fminf ctkh_fminf
#define fmaxf ctkh_fmaxf
#define fmin ctkh_fmin
#define fmax ctkh_fmax
using std::isfinite;
using std::isinf;
using std::isnan;
using std::signbit;
