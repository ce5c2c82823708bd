// SEQ2SEQ_FAST_CHECK(condition, message...): a RuntimeError in Python with that message, where the condition fails.
#pragma once

#include <sstream>
#include <stdexcept>

namespace seq2seq_fast::cpu {

template <typename... Parts>
[[noreturn]] __attribute__((noinline)) void refuse(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw std::runtime_error(message.str());
}

}  // namespace seq2seq_fast::cpu

#define SEQ2SEQ_FAST_CHECK(condition, ...)      \
  do {                                          \
    if (!(condition)) [[unlikely]] {            \
      ::seq2seq_fast::cpu::refuse(__VA_ARGS__); \
    }                                           \
  } while (false)
