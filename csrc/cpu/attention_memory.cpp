// The raw operator of attention_memory; schema in seq2seq_fast/ops/schemas.py.
#include <torch/library.h>

#include <tuple>

#include "attention_memory_kernel.h"
#include "tensors.h"

namespace seq2seq_fast::cpu {
namespace {

std::tuple<at::Tensor, at::Tensor> key_exponentials_(const at::Tensor& keys) {
  TORCH_CHECK(keys.dim() == 3, "keys must be [B, Tx, A], got ", keys.sizes());
  const at::Tensor dense = keys.contiguous();
  const ScalarType type = keys.scalar_type();
  const at::Tensor exponentials = empty_like_type(keys, keys.sizes(), accumulation_type(type));
  const at::Tensor in_range = empty_like_type(keys, {keys.size(0)}, ScalarType::Bool);
  key_exponentials(keys.size(0), keys.size(1), keys.size(2), type, dense.data_ptr(), exponentials.data_ptr(),
                   in_range.data_ptr<bool>());
  return {exponentials, in_range};
}

TORCH_LIBRARY_IMPL(seq2seq_fast_cpu, CPU, m) { m.impl("key_exponentials", key_exponentials_); }

}  // namespace
}  // namespace seq2seq_fast::cpu
