// Storage in half precision; arithmetic is float's.
#pragma once

#include <cstdint>
#include <cstring>

struct __half {
  uint16_t bits;
};

inline float __half2float(__half h) {
  _Float16 value;
  memcpy(&value, &h, sizeof value);
  return float(value);
}

inline __half __float2half(float f) {
  const _Float16 value = static_cast<_Float16>(f);
  __half h;
  memcpy(&h, &value, sizeof h);
  return h;
}
