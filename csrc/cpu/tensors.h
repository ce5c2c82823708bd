// What the operators do with tensors before and after a kernel sees their pointers.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <initializer_list>

#include "dispatch.h"

namespace seq2seq_fast::cpu {

inline ScalarType accumulation_type(ScalarType type) {
  return type == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

inline at::Tensor empty_like_type(const at::Tensor& like, at::IntArrayRef shape, ScalarType type) {
  return at::empty(shape, like.options().dtype(type));
}

// A tensor that was not asked for.
inline at::Tensor not_needed(const at::Tensor& like, ScalarType type) { return empty_like_type(like, {0}, type); }

inline void check_shape(const char* name, const at::Tensor& tensor, at::IntArrayRef shape) {
  TORCH_CHECK(tensor.sizes() == shape, name, " must be ", shape, ", got ", tensor.sizes());
}

inline void check_type(const char* name, const at::Tensor& tensor, ScalarType type) {
  TORCH_CHECK(tensor.scalar_type() == type, name, " must be ", c10::toString(type), ", got ",
              c10::toString(tensor.scalar_type()));
}

// The matrix itself where its rows are dense, else a copy.
inline at::Tensor dense_rows(const at::Tensor& matrix) {
  return matrix.size(1) <= 1 || matrix.stride(1) == 1 ? matrix : matrix.contiguous();
}

inline Rows rows(const at::Tensor& matrix) { return {matrix.data_ptr(), matrix.stride(0)}; }

}  // namespace seq2seq_fast::cpu
