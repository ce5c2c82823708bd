#include "attention_memory_kernel.h"

#include "attention_rows.h"
#include "buffer.h"
#include "parallel.h"

namespace seq2seq_fast::cpu {

void key_exponentials(int64_t batch, int64_t source, int64_t units, ScalarType type, const void* keys_,
                      void* exponentials_, bool* in_range) {
  dispatch(type, [&]<typename T>() {
    using A = accumulation_t<T>;
    const T* const keys = static_cast<const T*>(keys_);
    A* const exponentials = static_cast<A*>(exponentials_);
    const Buffer<bool> rows(batch * source);
    parallel_rows(batch * source, units, [&](int64_t row) {
      rows.data()[row] = row_exponentials(keys + row * units, units, exponentials + row * units);
    });
    for (int64_t b = 0; b < batch; ++b) {
      const bool* of_source = rows.data() + b * source;
      in_range[b] = std::all_of(of_source, of_source + source, [](bool in) { return in; });
    }
  });
}

}  // namespace seq2seq_fast::cpu
