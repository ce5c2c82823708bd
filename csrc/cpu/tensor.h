// A tensor through PyTorch's stable C interface: what the operators need of one, so that one build serves every torch
// from 2.11 on. Nothing here or above it may name at:: or c10:: functions; tests/csrc/test_symbols.py looks.
#pragma once

#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "dispatch.h"
#include "parallel.h"

namespace seq2seq_fast::cpu {

using Shape = std::vector<int64_t>;

inline std::string to_text(const Shape& shape) {
  std::ostringstream text;
  text << '[';
  for (size_t i = 0; i < shape.size(); ++i) {
    text << (i == 0 ? "" : ", ") << shape[i];
  }
  text << ']';
  return text.str();
}

class Tensor : public torch::stable::Tensor {
  using Stable = torch::stable::Tensor;

 public:
  Tensor() : Stable(AtenTensorHandle(nullptr)) {}
  explicit Tensor(AtenTensorHandle owned) : Stable(owned) {}
  Tensor(const Stable& tensor) : Stable(tensor) {}

  // Uninitialised and contiguous.
  static Tensor empty(const Shape& shape, ScalarType type) {
    const Shape strides = contiguous_strides(shape);
    AtenTensorHandle made;
    TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(shape.size(), shape.data(), strides.data(), shim_type(type),
                                                    aoti_torch_device_type_cpu(), 0, &made));
    return Tensor(made);
  }
  static Tensor zeros(const Shape& shape, ScalarType type) {
    Tensor made = empty(shape, type);
    made.zero_();
    return made;
  }

  bool defined() const { return get() != nullptr; }
  Shape shape() const {
    const auto all = sizes();
    return {all.begin(), all.end()};
  }

  void* data_ptr() const { return Stable::data_ptr(); }
  template <typename T>
  T* data_ptr() const {
    return static_cast<T*>(Stable::data_ptr());
  }

  const Tensor& zero_() const {
    TORCH_ERROR_CODE_CHECK(aoti_torch_zero_(get()));
    return *this;
  }
  const Tensor& copy_(const Tensor& from) const {
    TORCH_ERROR_CODE_CHECK(aoti_torch_copy_(get(), from.get(), 0));
    return *this;
  }

  // A contiguous copy.
  Tensor copy(ScalarType type) const { return empty(shape(), type).copy_(*this); }
  Tensor copy() const { return copy(scalar_type()); }
  Tensor to(ScalarType type) const { return scalar_type() == type ? *this : copy(type); }
  Tensor contiguous() const { return is_contiguous() ? *this : copy(); }

  // Views.
  Tensor narrow(int64_t dim, int64_t start, int64_t length) const {
    Shape to = shape();
    to[dim] = length;
    return view_as(to, all_strides(), start * stride(dim));
  }
  Tensor transpose(int64_t a, int64_t b) const {
    Shape to = shape(), strides = all_strides();
    std::swap(to[a], to[b]);
    std::swap(strides[a], strides[b]);
    return view_as(to, strides);
  }
  Tensor t() const { return transpose(0, 1); }
  Tensor strided(const Shape& to, const Shape& strides) const { return view_as(to, strides); }
  // Of a contiguous tensor.
  Tensor view(const Shape& to) const { return view_as(to, contiguous_strides(to)); }
  // The first two dimensions as one, copied where they do not lie one after another.
  Tensor flatten_rows() const {
    Shape to = shape(), strides = all_strides();
    if (to[0] > 1 && to[1] > 1 && strides[0] != to[1] * strides[1] && numel() > 0) {
      return copy().flatten_rows();
    }
    if (to[1] > 1) {
      strides[0] = strides[1];
    }
    to[0] *= to[1];
    to.erase(to.begin() + 1);
    strides.erase(strides.begin() + 1);
    return view_as(to, strides);
  }

 private:
  static Shape contiguous_strides(const Shape& shape) {
    Shape strides(shape.size(), 1);
    for (size_t i = shape.size(); i-- > 1;) {
      strides[i - 1] = strides[i] * std::max<int64_t>(1, shape[i]);
    }
    return strides;
  }
  static int32_t shim_type(ScalarType type) {
    return torch::stable::detail::to<int32_t>(torch::stable::detail::from(type));
  }
  Shape all_strides() const {
    const auto all = strides();
    return {all.begin(), all.end()};
  }
  Tensor view_as(const Shape& to, const Shape& strides, int64_t further = 0) const {
    AtenTensorHandle made;
    TORCH_ERROR_CODE_CHECK(aoti_torch__reinterpret_tensor(get(), to.size(), to.data(), strides.data(), further, &made));
    return Tensor(made);
  }
};

using MaybeTensor = std::optional<Tensor>;

// Products by the library that torch has.
inline void mm_out(const Tensor& to, const Tensor& left, const Tensor& right) {
  TORCH_ERROR_CODE_CHECK(aoti_torch_cpu_mm_out(to.get(), left.get(), right.get()));
}
inline Tensor mm(const Tensor& left, const Tensor& right) {
  const Tensor made = Tensor::empty({left.size(0), right.size(1)}, left.scalar_type());
  mm_out(made, left, right);
  return made;
}
// to = start + left right
inline void addmm_out(const Tensor& to, const Tensor& start, const Tensor& left, const Tensor& right) {
  TORCH_ERROR_CODE_CHECK(aoti_torch_cpu_addmm_out(to.get(), start.get(), left.get(), right.get(), 1.0, 1.0));
}
inline Tensor bmm(const Tensor& left, const Tensor& right) {
  const Tensor made = Tensor::empty({left.size(0), left.size(1), right.size(2)}, left.scalar_type());
  TORCH_ERROR_CODE_CHECK(aoti_torch_cpu_bmm_out(made.get(), left.get(), right.get()));
  return made;
}
inline Tensor operator*(const Tensor& left, const Tensor& right) {
  AtenTensorHandle made;
  TORCH_ERROR_CODE_CHECK(aoti_torch_cpu_mul_Tensor(left.get(), right.get(), &made));
  return Tensor(made);
}
inline Tensor operator+(const Tensor& left, const Tensor& right) {
  AtenTensorHandle made;
  TORCH_ERROR_CODE_CHECK(aoti_torch_cpu_add_Tensor(left.get(), right.get(), 1.0, &made));
  return Tensor(made);
}
// [rows, width] -> [width]
inline Tensor sum_rows(const Tensor& matrix) {
  const std::array<int64_t, 1> rows{0};
  return torch::stable::sum(matrix, torch::headeronly::IntHeaderOnlyArrayRef(rows));
}
// One matrix below the other.
inline Tensor concatenate(const Tensor& first, const Tensor& second) {
  const Tensor made = Tensor::empty({first.size(0) + second.size(0), first.size(1)}, first.scalar_type());
  made.narrow(0, 0, first.size(0)).copy_(first);
  made.narrow(0, first.size(0), second.size(0)).copy_(second);
  return made;
}

// Copies whole rows of contiguous tensors; places(i) gives the i-th row's place in `from` and in `to`.
template <typename Places>
inline void copy_rows(const Tensor& from, const Tensor& to, int64_t count, const Places& places) {
  const int64_t bytes = from.size(0) == 0 ? 0 : from.numel() / from.size(0) * from.element_size();
  const char* const source = from.data_ptr<const char>();
  char* const target = to.data_ptr<char>();
  parallel_rows(bytes == 0 ? 0 : count, bytes, [&](int64_t row) {
    const auto [here, there] = places(row);
    std::memcpy(target + there * bytes, source + here * bytes, bytes);
  });
}
// Row i of the result is row index[i] of a contiguous tensor.
inline Tensor take_rows(const Tensor& from, const std::vector<int64_t>& index) {
  Shape shape = from.shape();
  shape[0] = static_cast<int64_t>(index.size());
  const Tensor made = Tensor::empty(shape, from.scalar_type());
  copy_rows(from, made, index.size(), [&](int64_t row) { return std::pair(index[row], row); });
  return made;
}
// Row index[i] of a contiguous tensor becomes row i of another one.
inline void put_rows(const Tensor& to, const std::vector<int64_t>& index, const Tensor& from) {
  copy_rows(from, to, index.size(), [&](int64_t row) { return std::pair(row, index[row]); });
}

}  // namespace seq2seq_fast::cpu

// How our tensors and the lists of what is needed travel through the dispatcher.
namespace torch::stable::detail {

template <>
struct FromImpl<seq2seq_fast::cpu::Tensor> {
  static StableIValue call(const seq2seq_fast::cpu::Tensor& tensor, uint64_t version, bool is_internal) {
    return FromImpl<torch::stable::Tensor>::call(tensor, version, is_internal);
  }
};

template <>
struct ToImpl<seq2seq_fast::cpu::Tensor> {
  static seq2seq_fast::cpu::Tensor call(StableIValue value, uint64_t, bool) {
    return seq2seq_fast::cpu::Tensor(to<AtenTensorHandle>(value));
  }
};

template <size_t N>
struct ToImpl<std::array<bool, N>> {
  static std::array<bool, N> call(StableIValue value, uint64_t, bool) {
    const std::vector<bool> given = to<std::vector<bool>>(value);
    SEQ2SEQ_FAST_CHECK(given.size() == N, "needs must have ", N, " entries, got ", given.size());
    std::array<bool, N> needs;
    std::copy(given.begin(), given.end(), needs.begin());
    return needs;
  }
};

}  // namespace torch::stable::detail
