// Results larger than the cache are written around it: a store that goes through it first reads what it overwrites.
#pragma once

#include <unistd.h>

#include "vec.h"

namespace seq2seq_fast::cpu {

// Whether so many bytes, written once, had better go around the last level of cache.
inline bool beyond_cache(int64_t bytes) {
#ifdef _SC_LEVEL3_CACHE_SIZE
  static const int64_t known = sysconf(_SC_LEVEL3_CACHE_SIZE);
#else
  static const int64_t known = 0;
#endif
  return bytes >= (known > 0 ? known : int64_t{32} << 20);
}

// Whether rows of `size` elements can be written around the cache: every vector whole and aligned.
template <typename A>
inline bool streamable(const A* to, int64_t size) {
  return size % kLanes<A> == 0 && reinterpret_cast<uintptr_t>(to) % sizeof(Vec<A>) == 0;
}

// kAround: around the cache, to memory that streamable() allows; stream_fence() must follow before another thread
// reads.
template <bool kAround, typename A, typename Lanes>
SEQ2SEQ_FAST_INLINE void store_streamed(A* to, const Vec<A>& values, Lanes lanes) {
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
  if constexpr (kAround && std::is_same_v<Lanes, Whole>) {
#if defined(CPU_CAPABILITY_AVX512)
    if constexpr (std::is_same_v<A, float>) {
      _mm512_stream_ps(to, values);
    } else {
      _mm512_stream_pd(to, values);
    }
#else
    if constexpr (std::is_same_v<A, float>) {
      _mm256_stream_ps(to, values);
    } else {
      _mm256_stream_pd(to, values);
    }
#endif
    return;
  }
#endif
  store(to, values, lanes);
}

inline void stream_fence() {
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
  _mm_sfence();
#endif
}

}  // namespace seq2seq_fast::cpu
