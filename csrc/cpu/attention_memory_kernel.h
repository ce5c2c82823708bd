// What attention keeps of a batch of keys.
#pragma once

#include "dispatch.h"

namespace seq2seq_fast::cpu {

// exponentials [batch, source, units] in acc = e^(2 keys), and in_range [batch]: whether all of a source's |keys| allow
// the exponential form (attention_rows.h).
void key_exponentials(int64_t batch, int64_t source, int64_t units, ScalarType type, const void* keys,
                      void* exponentials, bool* in_range);

}  // namespace seq2seq_fast::cpu
