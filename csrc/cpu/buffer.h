// Memory of a kernel's own, uninitialised.
#pragma once

#include <cstdint>
#include <memory>
#include <new>

namespace seq2seq_fast::cpu {

template <typename A>
class Buffer {
 public:
  explicit Buffer(int64_t count)
      : memory_(static_cast<A*>(::operator new(static_cast<size_t>(count) * sizeof(A), kAlignment))) {}

  A* data() const { return memory_.get(); }
  A& operator[](int64_t index) const { return memory_.get()[index]; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Delete {
    void operator()(A* memory) const { ::operator delete(memory, kAlignment); }
  };
  std::unique_ptr<A, Delete> memory_;
};

}  // namespace seq2seq_fast::cpu
