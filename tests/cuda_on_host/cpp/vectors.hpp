// The vector types of CUDA with their alignment, and make_*.
#pragma once

#define CTKH_VECTOR1(NAME, T) struct NAME##1 { T x; }; inline NAME##1 make_##NAME##1(T x) { return {x}; }
#define CTKH_VECTOR2(NAME, T, ALIGN) \
    struct alignas(ALIGN) NAME##2 { T x, y; }; \
    inline NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }
#define CTKH_VECTOR3(NAME, T) struct NAME##3 { T x, y, z; }; inline NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }
#define CTKH_VECTOR4(NAME, T, ALIGN) \
    struct alignas(ALIGN) NAME##4 { T x, y, z, w; }; \
    inline NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }
#define CTKH_VECTORS(NAME, T) \
    CTKH_VECTOR1(NAME, T) CTKH_VECTOR2(NAME, T, 2 * sizeof(T)) CTKH_VECTOR4(NAME, T, sizeof(T) == 8 ? 16 : 4 * sizeof(T))

CTKH_VECTORS(char, signed char) CTKH_VECTORS(uchar, unsigned char) CTKH_VECTORS(short, short)
CTKH_VECTORS(ushort, unsigned short) CTKH_VECTORS(int, int) CTKH_VECTORS(uint, unsigned) CTKH_VECTORS(float, float)
CTKH_VECTORS(double, double) CTKH_VECTORS(longlong, long long) CTKH_VECTORS(ulonglong, unsigned long long)
CTKH_VECTOR3(char, signed char) CTKH_VECTOR3(uchar, unsigned char) CTKH_VECTOR3(short, short)
CTKH_VECTOR3(ushort, unsigned short) CTKH_VECTOR3(int, int) CTKH_VECTOR3(float, float) CTKH_VECTOR3(double, double)
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
