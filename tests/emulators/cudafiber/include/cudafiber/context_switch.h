// From a fiber to the scheduler and back.
#pragma once

#include "cudafiber/state.h"

#ifdef __x86_64__
extern "C" void cudafiber_switch(void** save_stack_pointer, void* to_stack_pointer);
asm(R"(.pushsection .text
.weak cudafiber_switch
.hidden cudafiber_switch
.type cudafiber_switch,@function
cudafiber_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
.popsection)");
#endif

namespace cudafiber {

inline void switch_to_scheduler() {
  Machine& m = machine();
  Carrier* carrier = m.current->carrier;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&carrier->address_sanitizer, m.stack_bottom, m.stack_size);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(m.thread_sanitizer, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef __x86_64__
  cudafiber_switch(&carrier->stack_pointer, m.stack_pointer);
#else
  swapcontext(&carrier->context, &m.context);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(carrier->address_sanitizer, &m.stack_bottom, &m.stack_size);
#endif
}

inline void switch_to_fiber(Fiber* fiber) {
  Machine& m = machine();
  m.current = fiber;
  Carrier* carrier = fiber->carrier;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&m.address_sanitizer, carrier->stack.get(), Carrier::stack_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(carrier->thread_sanitizer, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef __x86_64__
  cudafiber_switch(&m.stack_pointer, carrier->stack_pointer);
#else
  swapcontext(&m.context, &carrier->context);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(m.address_sanitizer, nullptr, nullptr);
#endif
}

// Ends the launch with this error; never returns to the kernel.
[[noreturn]] inline void fail(const std::string& message) {
  Machine& m = machine();
  if (m.error.empty()) m.error = message;
  switch_to_scheduler();
  abort();
}

// Finish all but the newest `keep` committed groups of asynchronous copies.
inline void finish_copies(Fiber* fiber, int keep) {
  size_t left = 0;
  for (const PendingCopy& copy : fiber->copies) {
    if (copy.group < fiber->copy_group - keep)
      memcpy(copy.to, copy.from, copy.bytes);
    else
      fiber->copies[left++] = copy;
  }
  fiber->copies.resize(left);
}

inline void run_threads() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &machine().stack_bottom, &machine().stack_size);
#endif
  for (;;) {
    observe(&machine().starting_clock);
    machine().kernel();
    Fiber* fiber = current();
    fiber->copy_group = INT_MAX;
    finish_copies(fiber, 0);
    publish(&machine());
    {
      Unwatched scope;
      fiber->waiting = Waiting::done;
      --fiber->block->live;
    }
    switch_to_scheduler();
  }
}

// A carrier is dear to make under ThreadSanitizer, so it lives as long as the program, unless a launch fails.
inline std::unique_ptr<Carrier> make_carrier() {
  std::unique_ptr<Carrier> carrier(new Carrier);
#ifdef __x86_64__
  const uintptr_t top = (uintptr_t(carrier->stack.get()) + Carrier::stack_bytes) & ~uintptr_t(15);
  void** stack = reinterpret_cast<void**>(top);
  *--stack = nullptr;
  *--stack = reinterpret_cast<void*>(run_threads);
  for (int saved_register = 0; saved_register < 6; ++saved_register) *--stack = nullptr;
  carrier->stack_pointer = stack;
#else
  getcontext(&carrier->context);
  carrier->context.uc_stack.ss_sp = carrier->stack.get();
  carrier->context.uc_stack.ss_size = Carrier::stack_bytes;
  carrier->context.uc_link = nullptr;
  makecontext(&carrier->context, run_threads, 0);
#endif
#if defined(__SANITIZE_THREAD__)
  carrier->thread_sanitizer = __tsan_create_fiber(0);
#endif
  return carrier;
}

}  // namespace cudafiber
