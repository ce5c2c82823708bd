// What the operators do with tensors before and after a kernel sees their pointers.
#pragma once

#include "tensor.h"

namespace seq2seq_fast::cpu {

inline ScalarType accumulation_type(ScalarType type) {
  return type == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// A tensor that was not asked for.
inline Tensor not_needed(ScalarType type) { return Tensor::empty({0}, type); }

inline void check_shape(const char* name, const Tensor& tensor, const Shape& shape) {
  const auto given = tensor.sizes();
  SEQ2SEQ_FAST_CHECK(std::equal(given.begin(), given.end(), shape.begin(), shape.end()), name, " must be ",
                     to_text(shape), ", got ", to_text(tensor.shape()));
}

inline void check_type(const char* name, const Tensor& tensor, ScalarType type) {
  SEQ2SEQ_FAST_CHECK(tensor.scalar_type() == type, name, " must be ", type, ", got ", tensor.scalar_type());
}

// The matrix itself where its rows are dense, else a copy.
inline Tensor dense_rows(const Tensor& matrix) {
  return matrix.size(1) <= 1 || matrix.stride(1) == 1 ? matrix : matrix.contiguous();
}

inline Rows rows(const Tensor& matrix) { return {matrix.data_ptr(), matrix.stride(0)}; }

}  // namespace seq2seq_fast::cpu
