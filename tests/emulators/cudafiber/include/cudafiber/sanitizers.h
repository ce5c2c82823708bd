// What AddressSanitizer and ThreadSanitizer must be told of fibers; nothing without them.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
}
#endif

namespace cudafiber {

// Happens-before edges of the race detector: barriers are the only ones between the threads of a block.
inline void publish([[maybe_unused]] void* to) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(to);
#endif
}

inline void observe([[maybe_unused]] void* from) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(from);
#endif
}

// Hides this machinery's own accesses from the race detector, within its scope.
struct Unwatched {
#if defined(__SANITIZE_THREAD__)
  Unwatched() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unwatched() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#else
  Unwatched() {}
#endif
};

}  // namespace cudafiber
