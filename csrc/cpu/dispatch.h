// From the dtype of a tensor to the template argument of a kernel.
#pragma once

#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <cstdint>
#include <type_traits>

#include "check.h"

namespace seq2seq_fast::cpu {

using torch::headeronly::BFloat16;
using torch::headeronly::Half;
using torch::headeronly::ScalarType;

template <typename T>
inline constexpr ScalarType kScalarType = std::is_same_v<T, double> ? ScalarType::Double : ScalarType::Float;

// body.operator()<T>() for one of double, float, Half, BFloat16.
template <typename Body>
inline void dispatch(ScalarType type, const Body& body) {
  switch (type) {
    case ScalarType::Double:
      return body.template operator()<double>();
    case ScalarType::Float:
      return body.template operator()<float>();
    case ScalarType::Half:
      return body.template operator()<Half>();
    case ScalarType::BFloat16:
      return body.template operator()<BFloat16>();
    default:
      SEQ2SEQ_FAST_CHECK(false, "expected float64, float32, float16 or bfloat16, got ", type);
  }
}

// body.operator()<A>() for the type in which tensors of `type` are accumulated, double or float.
template <typename Body>
inline void dispatch_accumulation(ScalarType type, const Body& body) {
  type == ScalarType::Double ? body.template operator()<double>() : body.template operator()<float>();
}

// body.operator()<T>() for a type that A accumulates.
template <typename A, typename Body>
inline void dispatch_accumulated(ScalarType type, const Body& body) {
  if constexpr (std::is_same_v<A, double>) {
    body.template operator()<double>();
  } else {
    switch (type) {
      case ScalarType::Half:
        return body.template operator()<Half>();
      case ScalarType::BFloat16:
        return body.template operator()<BFloat16>();
      default:
        return body.template operator()<float>();
    }
  }
}

// body.operator()<G, T>() for gates of type G and a state of type T, which is G or what G accumulates in.
template <typename Body>
inline void dispatch_gates(ScalarType gates, ScalarType state, const Body& body) {
  dispatch(gates, [&]<typename G>() {
    if (state == gates) {
      return body.template operator()<G, G>();
    }
    if constexpr (sizeof(G) == 2) {
      if (state == ScalarType::Float) {
        return body.template operator()<G, float>();
      }
    }
    SEQ2SEQ_FAST_CHECK(false, "gates of ", gates, " do not go with a state of ", state);
  });
}

// Rows of a matrix, `stride` elements apart, each of them dense. Its dtype travels beside it.
struct Rows {
  void* data = nullptr;
  int64_t stride = 0;

  template <typename T>
  T* at(int64_t row) const {
    return data == nullptr ? nullptr : static_cast<T*>(data) + row * stride;
  }
};

}  // namespace seq2seq_fast::cpu
