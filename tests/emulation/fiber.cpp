#include "emulation/fiber.h"

#include <pthread.h>

#include "emulation/sanitizer.h"

// zebra_switch_stack(void** from, void* to): saves the callee-saved registers on the running stack
// and its pointer in *from, then goes on where `to` was saved. The floating-point control words are
// not saved, since kernels do not change them.
#if defined(__x86_64__)
asm(R"(
.text
.globl zebra_switch_stack
.type zebra_switch_stack, @function
zebra_switch_stack:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size zebra_switch_stack, .-zebra_switch_stack
)");
#else
#error "the emulation of the CUDA kernels has a context switch for x86-64 only"
#endif

extern "C" void zebra_switch_stack(void** from, void* to);

namespace zebra::kernels::emulation {
namespace {

constexpr std::size_t kStackBytes =
    (sanitizer::kAddress || sanitizer::kThread) ? 256 << 10 : 64 << 10;
constexpr int kSavedRegisters = 6;

}  // namespace

Fiber::Fiber() {
#ifdef ZEBRA_ADDRESS_SANITIZER
  pthread_attr_t attributes;
  void* bottom;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &bottom, &stack_bytes_);
  pthread_attr_destroy(&attributes);
  stack_bottom_ = bottom;
#endif
#ifdef ZEBRA_THREAD_SANITIZER
  thread_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(void (*entry)())
    : stack_(std::make_unique<GuardedMemory>(kStackBytes)),
      stack_bottom_(stack_->begin()),
      stack_bytes_(stack_->bytes()) {
#ifdef ZEBRA_THREAD_SANITIZER
  thread_ = __tsan_create_fiber(0);
#endif
  // As if `entry` had been called with a return address of 0 and had switched away at once.
  auto* const top = reinterpret_cast<void**>(stack_->end());
  top[-1] = nullptr;
  top[-2] = reinterpret_cast<void*>(entry);
  stack_pointer_ = top - 2 - kSavedRegisters;
}

Fiber::~Fiber() {
#ifdef ZEBRA_THREAD_SANITIZER
  if (stack_) __tsan_destroy_fiber(thread_);
#endif
}

void Fiber::begin() {
#ifdef ZEBRA_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
#ifdef ZEBRA_ADDRESS_SANITIZER
  __sanitizer_start_switch_fiber(&from.fake_stack_, to.stack_bottom_, to.stack_bytes_);
#endif
#ifdef ZEBRA_THREAD_SANITIZER
  __tsan_switch_to_fiber(to.thread_, __tsan_switch_to_fiber_no_sync);
#endif
  zebra_switch_stack(&from.stack_pointer_, to.stack_pointer_);
#ifdef ZEBRA_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(from.fake_stack_, nullptr, nullptr);
#endif
}

}  // namespace zebra::kernels::emulation
