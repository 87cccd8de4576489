// Numbers of the CPU kernel: WIDTH rays side by side ("lanes") in one vector of the processor, and double for bounds.
// The names (select, root, sine ...) are the vocabulary of shape.h and texture.h; scalar.h has them for CUDA.
#pragma once
#include <cmath>

#define DEVICE static inline __attribute__((always_inline))
#define FUNCTION static inline
#define ONCE static inline
#define ROLLED
#define TABLE static const

constexpr int WIDTH = 16;
typedef float RawFloat __attribute__((vector_size(4 * WIDTH)));
typedef int RawInt __attribute__((vector_size(4 * WIDTH)));
typedef unsigned RawBits __attribute__((vector_size(4 * WIDTH)));

struct Mask { RawInt v; };
struct Bits {
  RawBits v;
  Bits() {}
  Bits(RawBits value) : v(value) {}
  Bits(unsigned value) : v(RawBits{} + value) {}
};
struct Lanes {
  RawFloat v;
  Lanes() {}
  Lanes(RawFloat value) : v(value) {}
  Lanes(float value) : v(RawFloat{} + value) {}
};

template <class F> struct Of;
template <> struct Of<Lanes> { typedef Mask M; typedef Bits U; };
template <> struct Of<double> { typedef bool M; typedef unsigned U; };

DEVICE Lanes operator+(Lanes a, Lanes b) { return a.v + b.v; }
DEVICE Lanes operator-(Lanes a, Lanes b) { return a.v - b.v; }
DEVICE Lanes operator*(Lanes a, Lanes b) { return a.v * b.v; }
DEVICE Lanes operator/(Lanes a, Lanes b) { return a.v / b.v; }
DEVICE Lanes operator-(Lanes a) { return -a.v; }
DEVICE Mask operator<(Lanes a, Lanes b) { return {a.v < b.v}; }
DEVICE Mask operator>(Lanes a, Lanes b) { return {a.v > b.v}; }
DEVICE Mask operator&(Mask a, Mask b) { return {a.v & b.v}; }
DEVICE Mask operator|(Mask a, Mask b) { return {a.v | b.v}; }
DEVICE Mask operator!(Mask a) { return {~a.v}; }
DEVICE Bits operator*(Bits a, Bits b) { return a.v * b.v; }
DEVICE Bits operator^(Bits a, Bits b) { return a.v ^ b.v; }
DEVICE Bits operator+(Bits a, Bits b) { return a.v + b.v; }
DEVICE Bits operator>>(Bits a, int b) { return a.v >> b; }
DEVICE Bits operator%(Bits a, unsigned b) { return a.v % b; }

DEVICE Lanes select(Mask m, Lanes a, Lanes b) { return m.v ? a.v : b.v; }
DEVICE double select(bool m, double a, double b) { return m ? a : b; }
DEVICE bool in_any_lane(Mask m) {
  int result = 0;
  for (int i = 0; i < WIDTH; ++i) result |= m.v[i];
  return result != 0;
}
DEVICE bool in_any_lane(bool m) { return m; }

DEVICE Lanes minimum(Lanes a, Lanes b) { return a.v < b.v ? a.v : b.v; }
DEVICE Lanes maximum(Lanes a, Lanes b) { return a.v > b.v ? a.v : b.v; }
DEVICE double minimum(double a, double b) { return a < b ? a : b; }
DEVICE double maximum(double a, double b) { return a > b ? a : b; }
DEVICE Lanes absolute(Lanes a) { return RawFloat(RawInt(a.v) & 0x7fffffff); }
DEVICE double absolute(double a) { return std::fabs(a); }
DEVICE Lanes root(Lanes a) {
  RawFloat r;
  for (int i = 0; i < WIDTH; ++i) r[i] = __builtin_sqrtf(a.v[i]);
  return r;
}
DEVICE double root(double a) { return std::sqrt(a); }
DEVICE Lanes floor_of(Lanes a) {
  RawFloat r;
  for (int i = 0; i < WIDTH; ++i) r[i] = __builtin_floorf(a.v[i]);
  return r;
}
DEVICE double floor_of(double a) { return std::floor(a); }
DEVICE Lanes nearest(Lanes a) { return floor_of(a + 0.5f); }
DEVICE double nearest(double a) { return std::floor(a + 0.5); }

// Whole numbers (results of floor_of) as bits for hashing, and hashes as numbers in [0, 1).
DEVICE Bits bits_of(Lanes a) { return RawBits(__builtin_convertvector(a.v, RawInt)); }
DEVICE unsigned bits_of(double a) { return unsigned(int(a)); }
DEVICE Lanes unit_of(Bits a) { return __builtin_convertvector(RawInt(a.v >> 8), RawFloat) * 5.9604644775390625e-8f; }
DEVICE double unit_of(unsigned a) { return (a >> 8) * 5.9604644775390625e-8; }

template <class T> DEVICE Lanes look_up(const T* table, Bits index) {
  RawFloat r;
  for (int i = 0; i < WIDTH; ++i) r[i] = table[index.v[i]];
  return r;
}
template <class T> DEVICE double look_up(const T* table, unsigned index) { return table[index]; }

// Elementary functions: minimax polynomials with errors below 1e-7 on the reduced range.
DEVICE Lanes sine(Lanes x) {
  Lanes turns = nearest(x * 0.318309886f);
  Lanes r = (x - turns * 3.140625f) - turns * 9.67653589793e-4f;
  Lanes odd = turns - 2.0f * floor_of(turns * 0.5f);
  Lanes s = r * r;
  Lanes p = r * (0.999999977f + s * (-0.166666476f + s * (8.33289982e-3f + s * (-1.98008978e-4f + s * 2.5904885e-6f))));
  return p * (1.0f - 2.0f * odd);
}
DEVICE Lanes cosine(Lanes x) { return sine(x + 1.57079633f); }
DEVICE double sine(double x) { return std::sin(x); }
DEVICE double cosine(double x) { return std::cos(x); }

DEVICE Lanes angle_of(Lanes y, Lanes x) {
  Lanes ax = absolute(x), ay = absolute(y);
  Lanes a = minimum(ax, ay) / maximum(maximum(ax, ay), 1e-20f), s = a * a;
  Lanes p = a * (0.999999336f + s * (-0.333298608f + s * (0.199465657f + s * (-0.139086296f + s * (0.0964219745f +
            s * (-0.0559123272f + s * (0.0218629576f - s * 4.05456701e-3f)))))));
  p = select(ay > ax, 1.57079633f - p, p);
  p = select(x < 0.0f, 3.14159265f - p, p);
  return select(y < 0.0f, -p, p);
}
DEVICE double angle_of(double y, double x) { return std::atan2(y, x); }

// x^p for x >= 0.
DEVICE Lanes power(Lanes x, Lanes p) {
  RawInt i = RawInt(maximum(x, 1e-30f).v);
  RawInt e = (i - 0x3f3504f3) >> 23;
  Lanes m = RawFloat(i - (e << 23)) - 1.0f;
  Lanes l = m * (1.44269487f + m * (-0.721347128f + m * (0.480922529f + m * (-0.360721195f + m * (0.287656673f +
            m * (-0.238519442f + m * (0.217379401f + m * (-0.210303314f + m * 0.125412355f))))))));
  Lanes y = maximum(minimum(p * (l + Lanes(__builtin_convertvector(e, RawFloat))), 126.0f), -126.0f);
  Lanes n = nearest(y), f = y - n;
  Lanes r = 1.0f + f * (0.693147207f + f * (0.240226515f + f * (0.0555032722f + f * (9.61799452e-3f +
            f * (1.34004317e-3f + f * 1.54780219e-4f)))));
  return RawFloat(RawInt(r.v) + (__builtin_convertvector(n.v, RawInt) << 23));
}
DEVICE double power(double x, double p) { return std::pow(x > 1e-30 ? x : 1e-30, p); }
