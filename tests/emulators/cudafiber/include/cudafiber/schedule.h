// The order in which ready threads run: CUDAFIBER_SCHED = forward (default), reverse, random:SEED or round_robin.
// Results must not depend on it. All but round_robin let a warp run as far as it can before the next warp runs, and so
// let a missing barrier show.
#pragma once

#include <algorithm>

#include "cudafiber/state.h"

namespace cudafiber {

class Schedule {
 public:
  Schedule() {
    const char* asked = getenv("CUDAFIBER_SCHED");
    const std::string name = asked ? asked : "forward";
    if (name == "reverse")
      reversed_ = true;
    else if (name == "round_robin")
      greedy_ = false;
    else if (name.rfind("random:", 0) == 0)
      state_ = strtoull(name.c_str() + 7, nullptr, 10) * 0x9E3779B97F4A7C15ull + 1;
    else if (name != "forward")
      throw Error("CUDAFIBER_SCHED=" + name + " is none of forward, reverse, random:SEED, round_robin");
  }

  bool greedy() const { return greedy_; }

  // `count` things in groups of `group`, which stay together.
  std::vector<unsigned> order(unsigned count, unsigned group) {
    std::vector<std::vector<unsigned>> groups((count + group - 1) / group);
    for (unsigned i = 0; i < count; ++i) groups[i / group].push_back(i);
    if (reversed_) std::reverse(groups.begin(), groups.end());
    if (state_) shuffle(groups);
    std::vector<unsigned> all;
    for (auto& members : groups) {
      if (reversed_) std::reverse(members.begin(), members.end());
      if (state_) shuffle(members);
      all.insert(all.end(), members.begin(), members.end());
    }
    return all;
  }

 private:
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[next() % i]);
  }

  uint64_t next() {  // xorshift64
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

  bool reversed_ = false, greedy_ = true;
  uint64_t state_ = 0;
};

}  // namespace cudafiber
