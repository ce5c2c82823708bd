// Typed rows of a matrix.
#pragma once

#include <cstdint>
#include <type_traits>

namespace seq2seq_fast::cpu {

// Rows `stride` elements apart, each of them dense; stride 0 repeats one row, null data stands for what is not there.
template <typename T>
struct RowSpan {
  T* data = nullptr;
  int64_t stride = 0;

  T* operator[](int64_t row) const { return data + row * stride; }
  explicit operator bool() const { return data != nullptr; }
  RowSpan from(int64_t row) const { return data == nullptr ? *this : RowSpan{data + row * stride, stride}; }
  RowSpan columns(int64_t first) const { return data == nullptr ? *this : RowSpan{data + first, stride}; }
  operator RowSpan<const T>() const
    requires(!std::is_const_v<T>)
  {
    return {data, stride};
  }
};

}  // namespace seq2seq_fast::cpu
