// Device functions that are plain arithmetic or plain accesses.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

template <class T>
T __ldg(const T* address) {
  return *address;
}

inline float __fdividef(float numerator, float denominator) { return numerator / denominator; }
inline float __expf(float x) { return expf(x); }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

inline unsigned __float_as_uint(float value) {
  unsigned bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float __uint_as_float(unsigned bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
