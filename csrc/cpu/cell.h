// The recurrent units by name, and the sizes that follow.
#pragma once

#include <cstdint>
#include <string_view>

#include "check.h"

namespace seq2seq_fast::cpu {

enum class Cell { kRnn, kGruResetAfter, kGruResetBefore, kLstm };

inline Cell cell_named(std::string_view name, bool reset_after) {
  if (name == "gru") {
    return reset_after ? Cell::kGruResetAfter : Cell::kGruResetBefore;
  }
  SEQ2SEQ_FAST_CHECK(name == "rnn" || name == "lstm", "cell must be rnn, gru or lstm, got ", name);
  return name == "rnn" ? Cell::kRnn : Cell::kLstm;
}

inline int64_t gates_of(Cell cell) { return cell == Cell::kRnn ? 1 : cell == Cell::kLstm ? 4 : 3; }

// What backward needs of a position, in units of the state's size: r, z, n and, with reset after the product, the
// summand of n that r multiplies; i, f, g, o; the plain unit's state before it is rounded, whose slope a rounded one
// would lose near 1.
inline int64_t activations_of(Cell cell) { return cell == Cell::kRnn ? 1 : cell == Cell::kGruResetBefore ? 3 : 4; }

}  // namespace seq2seq_fast::cpu
