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

inline void switch_to_scheduler([[maybe_unused]] bool last_time = false) {
  Machine& m = machine();
  Fiber* fiber = m.current;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(last_time ? nullptr : &fiber->address_sanitizer, m.stack_bottom, m.stack_size);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(m.thread_sanitizer, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef __x86_64__
  cudafiber_switch(&fiber->stack_pointer, m.stack_pointer);
#else
  swapcontext(&fiber->context, &m.context);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fiber->address_sanitizer, &m.stack_bottom, &m.stack_size);
#endif
}

inline void switch_to_fiber(Fiber* fiber) {
  Machine& m = machine();
  m.current = fiber;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&m.address_sanitizer, fiber->stack, Machine::stack_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(fiber->thread_sanitizer, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef __x86_64__
  cudafiber_switch(&m.stack_pointer, fiber->stack_pointer);
#else
  swapcontext(&m.context, &fiber->context);
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

inline void fiber_body() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &machine().stack_bottom, &machine().stack_size);
#endif
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
  switch_to_scheduler(true);
  abort();
}

inline void prepare(Fiber* fiber) {
  forget_frames(fiber->stack, Machine::stack_bytes);
#ifdef __x86_64__
  const uintptr_t top = (uintptr_t(fiber->stack) + Machine::stack_bytes) & ~uintptr_t(15);
  void** stack = reinterpret_cast<void**>(top);
  *--stack = nullptr;
  *--stack = reinterpret_cast<void*>(fiber_body);
  for (int saved_register = 0; saved_register < 6; ++saved_register) *--stack = nullptr;
  fiber->stack_pointer = stack;
#else
  getcontext(&fiber->context);
  fiber->context.uc_stack.ss_sp = fiber->stack;
  fiber->context.uc_stack.ss_size = Machine::stack_bytes;
  fiber->context.uc_link = nullptr;
  makecontext(&fiber->context, fiber_body, 0);
#endif
#if defined(__SANITIZE_THREAD__)
  if (fiber->thread_sanitizer) __tsan_destroy_fiber(fiber->thread_sanitizer);
  fiber->thread_sanitizer = __tsan_create_fiber(0);
#endif
}

}  // namespace cudafiber
