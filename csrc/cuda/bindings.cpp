// The launchers as Python functions: pointers and the stream are integers, and a CUDA error is a RuntimeError with the
// kernel's name.
#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "cuda/launchers.h"

namespace {

template <class T>
struct Argument {
  using FromPython = T;
  static T convert(T value) { return value; }
};

template <class T>
struct Argument<T*> {
  using FromPython = std::uintptr_t;
  static T* convert(std::uintptr_t address) { return reinterpret_cast<T*>(address); }
};

void check(const char* name, cudaError_t error) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // an error of a launch alone is over with this exception
  throw std::runtime_error(std::string(name) + ": " + cudaGetErrorString(error));
}

template <class... Arguments>
void bind(pybind11::module_& module, const char* name, cudaError_t (*launcher)(Arguments...)) {
  module.def(name, [name, launcher](typename Argument<Arguments>::FromPython... arguments) {
    check(name, launcher(Argument<Arguments>::convert(arguments)...));
  });
}

}  // namespace

PYBIND11_MODULE(_cuda, module) {
  using namespace seq2seq_fast;
  module.doc() = "Launchers of seq2seq_fast's CUDA kernels; csrc/cuda/launchers.h documents them.";
#define SEQ2SEQ_FAST_BIND(name) bind(module, #name, &name)
  SEQ2SEQ_FAST_BIND(attend_forward);
  SEQ2SEQ_FAST_BIND(attend_backward_weights);
  SEQ2SEQ_FAST_BIND(attend_backward_softmax);
  SEQ2SEQ_FAST_BIND(attend_backward_values);
  SEQ2SEQ_FAST_BIND(key_exponentials);
  SEQ2SEQ_FAST_BIND(additive_score_forward);
  SEQ2SEQ_FAST_BIND(additive_score_backward);
  SEQ2SEQ_FAST_BIND(gru_gates_forward);
  SEQ2SEQ_FAST_BIND(gru_gates_backward);
  SEQ2SEQ_FAST_BIND(gru_reset_forward);
  SEQ2SEQ_FAST_BIND(gru_reset_backward);
  SEQ2SEQ_FAST_BIND(gru_update_forward);
  SEQ2SEQ_FAST_BIND(gru_update_backward);
  SEQ2SEQ_FAST_BIND(lstm_gates_forward);
  SEQ2SEQ_FAST_BIND(lstm_gates_backward);
  SEQ2SEQ_FAST_BIND(attention_decoder_forward);
  SEQ2SEQ_FAST_BIND(attention_decoder_backward);
#undef SEQ2SEQ_FAST_BIND
  module.def("decoder_stride", &decoder_stride);
  module.def("decoder_shared_bytes", &decoder_shared_bytes);
  module.def("reversed_decoder_stride", &reversed_decoder_stride);
  module.def("reversed_decoder_shared_bytes", &reversed_decoder_shared_bytes);
  module.def("device_limits", [] {
    DeviceLimits limits = {};
    check("device_limits", device_limits(&limits));
    return pybind11::make_tuple(limits.multiprocessors, limits.shared_bytes_per_block, bool(limits.cooperative));
  });
  module.def("attention_chunk", &attention_chunk);
  module.def("key_exponentials_parts", &key_exponentials_parts);
  module.def("score_backward_plan", [](int dtype, int64_t batch, int64_t rows, int64_t others, int64_t units,
                                       bool all_aligned, int multiprocessors) {
    const ScoreBackwardPlan plan = score_backward_plan(dtype, batch, rows, others, units, all_aligned, multiprocessors);
    return pybind11::make_tuple(plan.splits, plan.rows_of_v);
  });
}
