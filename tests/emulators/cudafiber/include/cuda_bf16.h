// Storage in bfloat16, rounded to nearest even; arithmetic is float's.
#pragma once

#include "cudafiber/intrinsics.h"

struct __nv_bfloat16 {
  uint16_t bits;
};

inline float __bfloat162float(__nv_bfloat16 h) { return __uint_as_float(unsigned(h.bits) << 16); }

inline __nv_bfloat16 __float2bfloat16(float f) {
  const unsigned bits = __float_as_uint(f);
  return {f != f ? uint16_t(0x7FFF) : uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)};
}
