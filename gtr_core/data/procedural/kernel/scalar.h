// Numbers of the CUDA kernel: one ray per thread, plain floats. The same vocabulary as lanes.h.
#pragma once

#define DEVICE static __device__ __forceinline__
#define FUNCTION static __device__
// Called often and from several places: compiled once, or the compiler takes a minute.
#define ONCE static __device__ __noinline__
#define ROLLED _Pragma("unroll 1")
#define TABLE static __device__ const

typedef float Lanes;
template <class F> struct Of;
template <> struct Of<float> { typedef bool M; typedef unsigned U; };

DEVICE float select(bool m, float a, float b) { return m ? a : b; }
DEVICE bool in_any_lane(bool m) { return m; }
DEVICE float minimum(float a, float b) { return fminf(a, b); }
DEVICE float maximum(float a, float b) { return fmaxf(a, b); }
DEVICE float absolute(float a) { return fabsf(a); }
DEVICE float root(float a) { return sqrtf(a); }
DEVICE float floor_of(float a) { return floorf(a); }
DEVICE float nearest(float a) { return floorf(a + 0.5f); }
DEVICE unsigned bits_of(float a) { return unsigned(int(a)); }
DEVICE float unit_of(unsigned a) { return (a >> 8) * 5.9604644775390625e-8f; }
template <class T> DEVICE float look_up(const T* table, unsigned index) { return table[index]; }
DEVICE float sine(float x) { return sinf(x); }
DEVICE float cosine(float x) { return cosf(x); }
DEVICE float angle_of(float y, float x) { return atan2f(y, x); }
DEVICE float power(float x, float p) { return exp2f(p * log2f(fmaxf(x, 1e-30f))); }
