// The raw operator of attention_memory; schema in seq2seq_fast/ops/schemas.py.
#include <tuple>

#include "attention_memory_kernel.h"
#include "tensors.h"

namespace seq2seq_fast::cpu {
namespace {

std::tuple<Tensor, Tensor> key_exponentials_(const Tensor& keys) {
  SEQ2SEQ_FAST_CHECK(keys.dim() == 3, "keys must be [B, Tx, A], got ", to_text(keys.shape()));
  const Tensor dense = keys.contiguous();
  const ScalarType type = keys.scalar_type();
  const Tensor exponentials = Tensor::empty(keys.shape(), accumulation_type(type));
  const Tensor in_range = Tensor::empty({keys.size(0)}, ScalarType::Bool);
  key_exponentials(keys.size(0), keys.size(1), keys.size(2), type, dense.data_ptr(), exponentials.data_ptr(),
                   in_range.data_ptr<bool>());
  return {exponentials, in_range};
}

STABLE_TORCH_LIBRARY_IMPL(seq2seq_fast_cpu, CPU, m) { m.impl("key_exponentials", TORCH_BOX(&key_exponentials_)); }

}  // namespace
}  // namespace seq2seq_fast::cpu
