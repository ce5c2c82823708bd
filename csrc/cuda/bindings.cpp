// The launchers as Python functions: pointers and the stream are integers, and a CUDA error is a RuntimeError with the
// kernel's name. Python's limited interface, so that one build serves Python 3.10 and every later one.
#define Py_LIMITED_API 0x030a0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <exception>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cuda/launchers.h"

namespace seq2seq_fast {
namespace {

// An argument; where it is none of its type a Python error is set.
template <class T>
T from_python(PyObject* value) {
  if constexpr (std::is_pointer_v<T>) {
    return static_cast<T>(PyLong_AsVoidPtr(value));
  } else if constexpr (std::is_same_v<T, bool>) {
    return PyObject_IsTrue(value) == 1;
  } else {
    static_assert(std::is_integral_v<T>);
    const long long number = PyLong_AsLongLong(value);
    if (number < std::numeric_limits<T>::min() || number > std::numeric_limits<T>::max()) {
      PyErr_SetString(PyExc_OverflowError, "the number does not fit the launcher's type");
    }
    return static_cast<T>(number);
  }
}

// A result; null with a Python error where CUDA refused.
PyObject* to_python(const char* name, cudaError_t error) {
  if (error == cudaSuccess) Py_RETURN_NONE;
  cudaGetLastError();  // an error of a launch alone is over with this exception
  PyErr_SetString(PyExc_RuntimeError, (std::string(name) + ": " + cudaGetErrorString(error)).c_str());
  return nullptr;
}
template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
PyObject* to_python(const char*, T number) {
  return std::is_same_v<T, bool> ? PyBool_FromLong(number) : PyLong_FromLongLong(number);
}
template <class... Parts>
PyObject* to_python(const char* name, const std::tuple<cudaError_t, Parts...>& result) {
  PyObject* const checked = to_python(name, std::get<0>(result));
  if (checked == nullptr) return nullptr;
  Py_DecRef(checked);
  return std::apply(
      [&](cudaError_t, const auto&... parts) {
        PyObject* const tuple = PyTuple_New(sizeof...(parts));
        Py_ssize_t at = 0;
        if (tuple != nullptr) (PyTuple_SetItem(tuple, at++, to_python(name, parts)), ...);
        return tuple;
      },
      result);
}

template <auto function>
struct Method;
template <class Result, class... Arguments, Result (*function)(Arguments...)>
struct Method<function> {
  static inline const char* name = nullptr;

  static PyObject* call(PyObject*, PyObject* const* given, Py_ssize_t count) {
    if (count != sizeof...(Arguments)) {
      PyErr_Format(PyExc_TypeError, "%s takes %d arguments, got %d", name, int(sizeof...(Arguments)), int(count));
      return nullptr;
    }
    return call(given, std::index_sequence_for<Arguments...>());
  }

 private:
  template <size_t... I>
  static PyObject* call(PyObject* const* given, std::index_sequence<I...>) {
    const std::tuple<Arguments...> arguments{from_python<Arguments>(given[I])...};
    if (PyErr_Occurred()) return nullptr;
    try {
      return to_python(name, std::apply(function, arguments));
    } catch (const std::exception& error) {
      PyErr_SetString(PyExc_RuntimeError, (std::string(name) + ": " + error.what()).c_str());
      return nullptr;
    }
  }
};

template <auto function>
PyMethodDef method(const char* name) {
  Method<function>::name = name;
  PyObject* (*call)(PyObject*, PyObject* const*, Py_ssize_t) = &Method<function>::call;
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call)), METH_FASTCALL, nullptr};
}

// Structures as tuples.
std::tuple<cudaError_t, int, int64_t, bool> limits_of_device() {
  DeviceLimits limits = {};
  const cudaError_t error = device_limits(&limits);
  return {error, limits.multiprocessors, limits.shared_bytes_per_block, limits.cooperative != 0};
}
std::tuple<cudaError_t, int64_t, int64_t> plan_of_score_backward(int dtype, int64_t batch, int64_t rows, int64_t others,
                                                                 int64_t units, bool all_aligned, int multiprocessors) {
  const ScoreBackwardPlan plan = score_backward_plan(dtype, batch, rows, others, units, all_aligned, multiprocessors);
  return {cudaSuccess, plan.splits, plan.rows_of_v};
}

#define SEQ2SEQ_FAST_METHOD(name) method<&name>(#name)
PyMethodDef methods[] = {
    SEQ2SEQ_FAST_METHOD(attend_forward),
    SEQ2SEQ_FAST_METHOD(attend_backward_weights),
    SEQ2SEQ_FAST_METHOD(attend_backward_softmax),
    SEQ2SEQ_FAST_METHOD(attend_backward_values),
    SEQ2SEQ_FAST_METHOD(key_exponentials),
    SEQ2SEQ_FAST_METHOD(additive_score_forward),
    SEQ2SEQ_FAST_METHOD(additive_score_backward),
    SEQ2SEQ_FAST_METHOD(gru_gates_forward),
    SEQ2SEQ_FAST_METHOD(gru_gates_backward),
    SEQ2SEQ_FAST_METHOD(gru_reset_forward),
    SEQ2SEQ_FAST_METHOD(gru_reset_backward),
    SEQ2SEQ_FAST_METHOD(gru_update_forward),
    SEQ2SEQ_FAST_METHOD(gru_update_backward),
    SEQ2SEQ_FAST_METHOD(lstm_gates_forward),
    SEQ2SEQ_FAST_METHOD(lstm_gates_backward),
    SEQ2SEQ_FAST_METHOD(attention_decoder_forward),
    SEQ2SEQ_FAST_METHOD(attention_decoder_backward),
    SEQ2SEQ_FAST_METHOD(decoder_stride),
    SEQ2SEQ_FAST_METHOD(decoder_shared_bytes),
    SEQ2SEQ_FAST_METHOD(reversed_decoder_stride),
    SEQ2SEQ_FAST_METHOD(reversed_decoder_shared_bytes),
    SEQ2SEQ_FAST_METHOD(attention_chunk),
    SEQ2SEQ_FAST_METHOD(key_exponentials_parts),
    method<&limits_of_device>("device_limits"),
    method<&plan_of_score_backward>("score_backward_plan"),
    {nullptr, nullptr, 0, nullptr},
};
#undef SEQ2SEQ_FAST_METHOD

PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                          "_cuda",
                          "Launchers of seq2seq_fast's CUDA kernels; csrc/cuda/launchers.h documents them.",
                          -1,
                          methods,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr};

}  // namespace
}  // namespace seq2seq_fast

PyMODINIT_FUNC PyInit__cuda() { return PyModule_Create(&seq2seq_fast::definition); }
