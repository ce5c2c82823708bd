// Gradients of scores. tanh(q + k) is symmetric, so queries and keys get theirs from one kernel with exchanged roles:
// grad_own_na = v_a sum_m g_nm (1 - tanh^2), and grad_v_a = sum g tanh.
#include "common/score.h"
#include "cuda/launchers.h"
#include "cuda/owned_rows.h"

namespace seq2seq_fast {
namespace {

template <class T>
struct ScoreBackward {
  const T *own, *other, *v;  // [B, N, A], [B, M, A], [A]
  const float* grad;         // of the scores
  int64_t batch_stride, own_stride, other_stride;
  T* grad_own;       // [B, N, A], or null
  float* partial;    // [S, B, N, A] in place of grad_own where the other rows are split
  float* partial_v;  // [S B groups, A], or null
  int64_t others, chunk;
};

template <class T, int W, int R>
__global__ void __launch_bounds__(owner_threads) score_backward_kernel(const ScoreBackward<T> a, const OwnerGrid grid) {
  const int64_t b = grid.places().source(), split = grid.places().part(), units = grid.width;
  const int64_t group = grid.group(), first_row = group * R, unit = grid.first_column(W);
  const int64_t begin = split * a.chunk, end = begin + a.chunk < a.others ? begin + a.chunk : a.others;
  if (unit >= units) return;

  const T* own_rows[R];
  const float* grads[R];
  float own[R][W], sums[R][W] = {}, sums_v[W] = {};
  bool own_in_range = true;
#pragma unroll
  for (int r = 0; r < R; ++r) {
    const bool exists = first_row + r < grid.rows;
    const int64_t row = exists ? first_row + r : grid.rows - 1;
    own_rows[r] = a.own + (b * grid.rows + row) * units + unit;
    grads[r] = exists ? a.grad + b * a.batch_stride + row * a.own_stride : nullptr;
    const Packed<T, W> packed = Packed<T, W>::load(own_rows[r]);
#pragma unroll
    for (int w = 0; w < W; ++w) {
      own_in_range = own_in_range && in_exponential_range(packed[w]);
      own[r][w] = squared_exponential(packed[w]);
    }
  }

  for (int64_t m = begin; m < end; ++m) {
    const Packed<T, W> packed = Packed<T, W>::load(a.other + (b * a.others + m) * units + unit);
    float other[W];
    bool in_range = own_in_range;
#pragma unroll
    for (int w = 0; w < W; ++w) {
      in_range = in_range && in_exponential_range(packed[w]);
      other[w] = squared_exponential(packed[w]);
    }
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const float grad = grads[r] == nullptr ? 0.0f : grads[r][m * a.other_stride];
      float reciprocals[W];
      if (in_range) {
#pragma unroll
        for (int w = 0; w < W; ++w) reciprocals[w] = exponential_denominator(own[r][w], other[w]);
      } else {
        const Packed<T, W> raw = Packed<T, W>::load(own_rows[r]);
#pragma unroll
        for (int w = 0; w < W; ++w) reciprocals[w] = direct_denominator(raw[w], packed[w]);
      }
      if constexpr (W == 1) {
        reciprocals[0] = fast_reciprocal(reciprocals[0]);
      } else {
#pragma unroll
        for (int w = 0; w < W; w += 2) {
          const Reciprocals both = two_reciprocals(reciprocals[w], reciprocals[w + 1]);
          reciprocals[w] = both.first;
          reciprocals[w + 1] = both.second;
        }
      }
#pragma unroll
      for (int w = 0; w < W; ++w) {
        const float x = reciprocals[w];
        sums[r][w] = fmaf(grad, slope(x), sums[r][w]);
        sums_v[w] = fmaf(grad, 0.5f - x, sums_v[w]);
      }
    }
  }

  if (a.grad_own != nullptr || a.partial != nullptr) {
    const Packed<T, W> v = Packed<T, W>::load(a.v + unit);
#pragma unroll
    for (int r = 0; r < R; ++r) {
      if (first_row + r >= grid.rows) break;
      const int64_t to = (b * grid.rows + first_row + r) * units + unit;
#pragma unroll
      for (int w = 0; w < W; ++w) sums[r][w] *= 4.0f * v[w];
      if (a.partial == nullptr)
        store_floats(a.grad_own + to, sums[r]);
      else
        store_floats(a.partial + split * grid.batch * grid.rows * units + to, sums[r]);
    }
  }
  if (a.partial_v != nullptr) {
#pragma unroll
    for (int w = 0; w < W; ++w) sums_v[w] *= 2.0f;
    const int64_t groups = int64_t(grid.row_tiles) * grid.groups();
    store_floats(a.partial_v + ((split * grid.batch + b) * groups + group) * units + unit, sums_v);
  }
}

template <class Body>
cudaError_t with_rows_per_thread(int64_t rows, Body body) {
  return rows == 1 ? body(Width<1>()) : body(Width<4>());
}

int width_of(int dtype, int64_t units, bool all_aligned) {
  const int width = dtype == float32 ? vector_width<float> : vector_width<Half>;
  return all_aligned && units % width == 0 ? width : 1;
}

}  // namespace

ScoreBackwardPlan score_backward_plan(int dtype, int64_t batch, int64_t rows, int64_t others, int64_t units,
                                      bool all_aligned, int multiprocessors) {
  constexpr int64_t blocks_wanted_per_multiprocessor = 4, fewest_others = 8;
  const int width = width_of(dtype, units, all_aligned);
  const OwnerGrid grid(batch, rows, units, ceil_div(units, width), rows == 1 ? 1 : 4, 1);
  const int64_t blocks = grid.places().blocks();
  int64_t splits = blocks == 0 ? 1 : ceil_div(multiprocessors * blocks_wanted_per_multiprocessor, blocks);
  const int64_t most = others <= fewest_others ? 1 : others / fewest_others;
  if (splits > most) splits = most;
  return {splits, splits * batch * grid.row_tiles * grid.groups()};
}

cudaError_t additive_score_backward(int dtype, const void* own, const void* other, const void* v, const float* grad,
                                    int64_t batch_stride, int64_t own_stride, int64_t other_stride, void* grad_own,
                                    float* partial, float* partial_v, int64_t batch, int64_t rows, int64_t others,
                                    int64_t units, int64_t splits, bool all_aligned, cudaStream_t stream) {
  return with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const int64_t chunk = others == 0 ? 1 : ceil_div(others, splits);
    const ScoreBackward<T> a{static_cast<const T*>(own),
                             static_cast<const T*>(other),
                             static_cast<const T*>(v),
                             grad,
                             batch_stride,
                             own_stride,
                             other_stride,
                             static_cast<T*>(grad_own),
                             partial,
                             partial_v,
                             others,
                             chunk};
    return with_width<T>(width_of(dtype, units, all_aligned) > 1, [&](auto width) {
      constexpr int W = decltype(width)::value;
      return with_rows_per_thread(rows, [&](auto rows_per_thread) {
        constexpr int R = decltype(rows_per_thread)::value;
        const OwnerGrid grid(batch, rows, units, ceil_div(units, W), R, splits);
        return launch(score_backward_kernel<T, W, R>, grid.places().blocks(), owner_threads, 0, stream, a, grid);
      });
    });
  });
}

}  // namespace seq2seq_fast
