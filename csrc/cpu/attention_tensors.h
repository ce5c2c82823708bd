// The tensors of additive attention as its kernels want them: checked, dense, in the accumulation type where that is
// so.
#pragma once

#include <algorithm>
#include <cmath>

#include "additive_score_kernel.h"
#include "dispatch.h"
#include "positions.h"
#include "tensors.h"

namespace seq2seq_fast::cpu {

// Beyond it v d, or the sum of two, could overflow.
inline constexpr float kLargestV = 0x1p64f;

template <typename A>
inline bool in_ratio_range(A v) {
  return std::fabs(v) <= kLargestV;  // not for NaN
}

// in_range [B], false everywhere where v [A], in the accumulation type, is out of range itself: the direct form takes
// any v.
inline Tensor served_by_exponentials(const Tensor& in_range, const Tensor& v) {
  bool served = true;
  dispatch_accumulation(v.scalar_type(), [&]<typename A>() {
    const A* const data = v.data_ptr<const A>();
    served = std::all_of(data, data + v.numel(), in_ratio_range<A>);
  });
  return served ? in_range.contiguous() : Tensor::zeros(in_range.shape(), ScalarType::Bool);
}

class ScoreTensors {
 public:
  ScoreTensors(const Tensor& query, const Tensor& keys, const Tensor& exponentials, const Tensor& in_range,
               const Tensor& v) {
    SEQ2SEQ_FAST_CHECK(query.dim() == 3 && keys.dim() == 3, "query must be [B, Tq, A] and keys [B, Tx, A], got ",
                       to_text(query.shape()), " and ", to_text(keys.shape()));
    const int64_t batch = query.size(0), units = query.size(2);
    check_shape("keys", keys, {batch, keys.size(1), units});
    check_shape("exponentials", exponentials, keys.shape());
    check_shape("in_range", in_range, {batch});
    check_shape("v", v, {units});
    check_type("in_range", in_range, ScalarType::Bool);
    type_ = accumulation_type(keys.scalar_type());
    check_type("exponentials", exponentials, type_);
    query_ = accumulated(query);
    keys_ = keys.contiguous();
    exponentials_ = exponentials.contiguous();
    v_ = accumulated(v);
    in_range_ = served_by_exponentials(in_range, v_);
  }

  ScoreInputs inputs() const {
    return {query_.size(0),   query_.size(1),           keys_.size(1),
            query_.size(2),   keys_.scalar_type(),      query_.data_ptr(),
            keys_.data_ptr(), exponentials_.data_ptr(), in_range_.data_ptr<bool>(),
            v_.data_ptr()};
  }

  // Dense and in the accumulation type.
  Tensor accumulated(const Tensor& tensor) const { return tensor.to(type_).contiguous(); }

  ScalarType accumulation() const { return type_; }
  const Tensor& query() const { return query_; }
  const Tensor& keys() const { return keys_; }

 private:
  ScalarType type_;
  Tensor query_, keys_, exponentials_, in_range_, v_;
};

// Gradients in the accumulation type, and then in that of the tensors they are of; [0] where not needed.
class ScoreGradientTensors {
 public:
  // The kernels make the keys' and v's gradients together, and with the query's.
  ScoreGradientTensors(const ScoreTensors& tensors, bool query, bool keys_or_v)
      : needed_((query || keys_or_v) && tensors.query().size(1) > 0) {
    const ScalarType type = tensors.accumulation();
    const Tensor& like = tensors.query();
    if (query) {
      query_ = Tensor::empty(like.shape(), type);
    }
    if (query || keys_or_v) {
      keys_ = Tensor::empty(tensors.keys().shape(), type);
      v_ = Tensor::empty({like.size(2)}, type);
    }
    if (!needed_ && keys_.defined()) {  // no query: nothing would write them
      keys_.zero_();
      v_.zero_();
    }
  }

  // Whether a kernel has something to do.
  bool needed() const { return needed_; }
  void* query() const { return query_.defined() ? query_.data_ptr() : nullptr; }
  void* keys() const { return keys_.data_ptr(); }
  void* v() const { return v_.data_ptr(); }

  Tensor query_as(const Tensor& like, bool need) const { return as(query_, like, need); }
  Tensor keys_as(const Tensor& like, bool need) const { return as(keys_, like, need); }
  Tensor v_as(const Tensor& like, bool need) const { return as(v_, like, need); }

 private:
  static Tensor as(const Tensor& grad, const Tensor& like, bool need) {
    return need ? grad.to(like.scalar_type()) : not_needed(like.scalar_type());
  }

  bool needed_;
  Tensor query_, keys_, v_;
};

// The positions of an optional lengths [B] int64 and mask [B, Tx] bool.
inline Positions visited_positions(int64_t batch, int64_t source, const MaybeTensor& lengths, const MaybeTensor& mask) {
  Tensor dense_lengths, dense_mask;
  if (lengths.has_value()) {
    check_shape("lengths", *lengths, {batch});
    check_type("lengths", *lengths, ScalarType::Long);
    dense_lengths = lengths->contiguous();
  }
  if (mask.has_value()) {
    check_shape("mask", *mask, {batch, source});
    check_type("mask", *mask, ScalarType::Bool);
    dense_mask = mask->contiguous();
  }
  return Positions(batch, source, lengths.has_value() ? dense_lengths.data_ptr<int64_t>() : nullptr,
                   mask.has_value() ? dense_mask.data_ptr<bool>() : nullptr);
}

}  // namespace seq2seq_fast::cpu
