// The raw operators of scores with features or ReLU; schemas in seq2seq_fast/ops/schemas.py.
#include <array>
#include <string_view>
#include <tuple>

#include "feature_score_kernel.h"
#include "typed_tensors.h"

namespace seq2seq_fast::cpu {
namespace {

// The arguments, dense and in the accumulation type, the history with zeros around it.
struct FeatureTensors {
  FeatureTensors(const Tensor& query_, const Tensor& keys_, const Tensor& v_, const MaybeTensor& history_,
                 const MaybeTensor& filters_, std::string_view activation)
      : type(accumulation_type(query_.scalar_type())),
        batch(query_.size(0)),
        queries(query_.size(1)),
        source(keys_.size(1)),
        units(query_.size(2)),
        relu(activation == "relu"),
        query(widen(query_, type)),
        keys(widen(keys_, type)),
        v(widen(v_, type)),
        filters(widen(filters_, type)) {
    SEQ2SEQ_FAST_CHECK(relu || activation == "tanh", "activation must be tanh or relu, got ", activation);
    SEQ2SEQ_FAST_CHECK(history_.has_value() == filters.has_value(), "history and filters belong together");
    check_shape("keys", keys, {batch, source, units});
    check_shape("v", v, {units});
    if (filters) {
      channels = filters->size(1);
      width = filters->size(2);
      check_shape("filters", *filters, {units, channels, width});
      check_shape("history", *history_, {batch, queries, channels, source});
      SEQ2SEQ_FAST_CHECK(width % 2 == 1, "filters must have an odd width, got ", width);
      history = Tensor::zeros({batch, queries, channels, source + width - 1}, type);
      history->narrow(3, width / 2, source).copy_(*history_);
    }
  }

  template <typename A>
  FeatureScore<A> fill() const {
    return {batch,
            queries,
            source,
            units,
            channels,
            width,
            relu,
            query.data_ptr<const A>(),
            keys.data_ptr<const A>(),
            v.data_ptr<const A>(),
            pointer<const A>(history),
            pointer<const A>(filters)};
  }

  // Those of query i alone.
  FeatureTensors of_query(int64_t i) const {
    FeatureTensors one = *this;
    one.queries = 1;
    one.query = query.narrow(1, i, 1).contiguous();
    if (history) {
      one.history = history->narrow(1, i, 1).contiguous();
    }
    return one;
  }

  // [batch source, channels width]: what each position's filters see. For one query a source.
  Tensor windows() const {
    const int64_t padded = source + width - 1;
    return history->strided({batch, source, channels, width}, {channels * padded, 1, padded, 1})
        .copy()
        .view({batch * source, channels * width});
  }

  ScalarType type;
  int64_t batch, queries, source, units, channels = 0, width = 1;
  bool relu;
  Tensor query, keys, v;
  MaybeTensor filters, history;
};

// grad_history [batch, channels, source] of the gradients of windows, [batch source, channels width].
template <typename A>
void unwindow(const FeatureTensors& t, const A* windows, A* grad) {
  parallel_rows(t.batch * t.channels, t.source * t.width, [&](int64_t row) {
    const int64_t b = row / t.channels, c = row % t.channels, half = t.width / 2;
    A* const to = grad + row * t.source;
    std::fill_n(to, t.source, A(0));
    for (int64_t j = 0; j < t.source; ++j) {
      const A* const from = windows + ((b * t.source + j) * t.channels + c) * t.width;
      const int64_t begin = std::max<int64_t>(0, half - j), end = std::min(t.width, t.source + half - j);
      for (int64_t k = begin; k < end; ++k) {
        to[j + k - half] += from[k];
      }
    }
  });
}

Tensor forward(const Tensor& query, const Tensor& keys, const Tensor& v, const MaybeTensor& history,
               const MaybeTensor& filters, std::string_view activation) {
  const FeatureTensors t(query, keys, v, history, filters, activation);
  const Tensor scores = Tensor::empty({t.batch, t.queries, t.source}, t.type);
  dispatch_accumulation(t.type, [&]<typename A>() { feature_score(t.fill<A>(), scores.data_ptr<A>()); });
  return scores.to(query.scalar_type());
}

using Gradients = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

Gradients backward(const Tensor& grad_scores, const Tensor& query, const Tensor& keys, const Tensor& v,
                   const MaybeTensor& history, const MaybeTensor& filters, std::string_view activation,
                   std::array<bool, 5> needs) {
  const auto [need_query, need_keys, need_v, need_history, need_filters] = needs;
  const FeatureTensors all(query, keys, v, history, filters, activation);
  check_shape("grad_scores", grad_scores, {all.batch, all.queries, all.source});
  const Tensor grads = widen(grad_scores, all.type);
  const auto zeros = [&](const Shape& shape) { return Tensor::zeros(shape, all.type); };
  const Tensor grad_query = zeros(all.query.shape());
  Tensor grad_keys = zeros(all.keys.shape()), grad_v = zeros({all.units});
  Tensor grad_history = zeros({all.batch, all.queries, all.channels, all.source});
  Tensor grad_filters = zeros({all.units, all.channels * all.width});
  for (int64_t i = 0; i < all.queries; ++i) {
    const FeatureTensors t = all.of_query(i);
    const Tensor grad = grads.narrow(1, i, 1).contiguous(), sums = Tensor::empty(t.keys.shape(), t.type);
    const Tensor of_query = Tensor::empty({t.batch, t.units}, t.type), of_v = Tensor::empty({t.batch, t.units}, t.type);
    dispatch_accumulation(t.type, [&]<typename A>() {
      feature_score_backward(t.fill<A>(), grad.data_ptr<const A>(), sums.data_ptr<A>(), of_query.data_ptr<A>(),
                             of_v.data_ptr<A>());
    });
    grad_query.narrow(1, i, 1).copy_(of_query.view({t.batch, 1, t.units}));
    grad_v = all.queries == 1 ? sum_rows(of_v) : grad_v + sum_rows(of_v);
    grad_keys = all.queries == 1 ? sums : grad_keys + sums;
    const Tensor flat = sums.view({t.batch * t.source, t.units});
    if (t.history && need_filters) {
      const Tensor found = mm(flat.t(), t.windows());
      grad_filters = all.queries == 1 ? found : grad_filters + found;
    }
    if (t.history && need_history) {
      const Tensor windows = mm(flat, t.filters->view({t.units, t.channels * t.width}));
      const Tensor of_history = Tensor::empty({t.batch, 1, t.channels, t.source}, t.type);
      dispatch_accumulation(t.type,
                            [&]<typename A>() { unwindow(t, windows.data_ptr<const A>(), of_history.data_ptr<A>()); });
      grad_history.narrow(1, i, 1).copy_(of_history);
    }
  }
  return {answer(need_query, query, [&] { return grad_query; }), answer(need_keys, keys, [&] { return grad_keys; }),
          answer(need_v, v, [&] { return grad_v; }), answer(need_history, history, query, [&] { return grad_history; }),
          answer(need_filters, filters, query, [&] { return grad_filters.view(filters->shape()); })};
}

STABLE_TORCH_LIBRARY_IMPL(seq2seq_fast_cpu, CPU, m) {
  m.impl("feature_score_forward", TORCH_BOX(&forward));
  m.impl("feature_score_backward", TORCH_BOX(&backward));
}

}  // namespace
}  // namespace seq2seq_fast::cpu
