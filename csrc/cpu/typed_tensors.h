// Tensors in the accumulation type, as typed pointers and rows, and gradients in the dtype of what they belong to.
#pragma once

#include "row_span.h"
#include "tensors.h"

namespace seq2seq_fast::cpu {

// In the accumulation type and dense; a tensor that is not there stays away.
inline Tensor widen(const Tensor& tensor, ScalarType type) { return tensor.to(type).contiguous(); }
inline MaybeTensor widen(const MaybeTensor& tensor, ScalarType type) {
  return tensor ? MaybeTensor(widen(*tensor, type)) : tensor;
}

template <typename T>
RowSpan<T> span(const Tensor& matrix) {
  return {static_cast<T*>(matrix.data_ptr()), matrix.numel() == 0 ? 0 : matrix.stride(0)};
}
template <typename T>
RowSpan<T> span(const MaybeTensor& matrix) {
  return matrix ? span<T>(*matrix) : RowSpan<T>{};
}
template <typename T>
T* pointer(const MaybeTensor& tensor) {
  return tensor ? static_cast<T*>(tensor->data_ptr()) : nullptr;
}

// What forward saved for backward: of this shape, and dense in the accumulation type.
inline void check_saved(const char* name, const Tensor& saved, const Shape& shape, ScalarType type) {
  check_shape(name, saved, shape);
  check_type(name, saved, type);
  SEQ2SEQ_FAST_CHECK(saved.is_contiguous(), name, " must be contiguous");
}

// to = left right^T + bias
inline void multiply(const Tensor& left, const Tensor& right, const MaybeTensor& bias, Tensor to) {
  if (bias) {
    addmm_out(to, *bias, left, right.t());
  } else {
    mm_out(to, left, right.t());
  }
}

// The gradient of `like`, made only where it is needed.
template <typename Gradient>
Tensor answer(bool need, const Tensor& like, const Gradient& gradient) {
  return need ? Tensor(gradient()).to(like.scalar_type()) : not_needed(like.scalar_type());
}
template <typename Gradient>
Tensor answer(bool need, const MaybeTensor& like, const Tensor& otherwise, const Gradient& gradient) {
  return like ? answer(need, *like, gradient) : not_needed(otherwise.scalar_type());
}

}  // namespace seq2seq_fast::cpu
