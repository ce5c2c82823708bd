// An access at an address that its type must not have is an error with its line, as it is on a device. g++ calls the
// handler where -fsanitize=alignment (with CUDAFIBER_ALIGNMENT) finds one.
#pragma once

#include "cudafiber/context_switch.h"

#ifdef CUDAFIBER_ALIGNMENT

namespace cudafiber {

// As UndefinedBehaviorSanitizer lays out what its handler gets.
struct MisalignedAccess {
  const char* file;
  unsigned line, column;
  const void* type;
  unsigned char log_alignment, kind;
};

}  // namespace cudafiber

extern "C" [[gnu::used, gnu::visibility("hidden"), gnu::no_sanitize("alignment")]] inline void
__ubsan_handle_type_mismatch_v1(void* access, void* address) {
  const auto* found = static_cast<const cudafiber::MisalignedAccess*>(access);
  cudafiber::Fiber* fiber = cudafiber::current();
  if (fiber == nullptr) abort();
  fiber->site = {found->file, int(found->line)};
  const unsigned bytes = 1u << found->log_alignment;
  cudafiber::fail("misaligned address, " + std::to_string(reinterpret_cast<uintptr_t>(address) % bytes) + " modulo " +
                  std::to_string(bytes) + ": " + cudafiber::where(fiber));
}

#endif
