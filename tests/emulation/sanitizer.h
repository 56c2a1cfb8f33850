#pragma once

// What AddressSanitizer and ThreadSanitizer have to be told; nothing without them.

#include <cstddef>

#ifdef __has_feature
#define ZEBRA_HAS_FEATURE(feature) __has_feature(feature)
#else
#define ZEBRA_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || ZEBRA_HAS_FEATURE(address_sanitizer)
#define ZEBRA_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif
#if defined(__SANITIZE_THREAD__) || ZEBRA_HAS_FEATURE(thread_sanitizer)
#define ZEBRA_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
extern "C" {
void __tsan_ignore_thread_begin();
void __tsan_ignore_thread_end();
void __tsan_read_range(void* address, unsigned long bytes);
void __tsan_write_range(void* address, unsigned long bytes);
}
#endif

namespace zebra::kernels::emulation::sanitizer {

#ifdef ZEBRA_ADDRESS_SANITIZER
constexpr bool kAddress = true;
inline void poison(const void* begin, std::size_t bytes) {
  __asan_poison_memory_region(begin, bytes);
}
inline void unpoison(const void* begin, std::size_t bytes) {
  __asan_unpoison_memory_region(begin, bytes);
}
#else
constexpr bool kAddress = false;
inline void poison(const void*, std::size_t) {}
inline void unpoison(const void*, std::size_t) {}
#endif

#ifdef ZEBRA_THREAD_SANITIZER
constexpr bool kThread = true;
inline void note_read(const void* begin, std::size_t bytes) {
  __tsan_read_range(const_cast<void*>(begin), bytes);
}
inline void note_write(void* begin, std::size_t bytes) { __tsan_write_range(begin, bytes); }
inline void release(void* order) { __tsan_release(order); }
inline void acquire(void* order) { __tsan_acquire(order); }
inline void ignore_accesses() { __tsan_ignore_thread_begin(); }
inline void observe_accesses() { __tsan_ignore_thread_end(); }
/// Whether a data race was reported since the last call.
bool take_race();
#else
constexpr bool kThread = false;
inline void note_read(const void*, std::size_t) {}
inline void note_write(void*, std::size_t) {}
inline void release(void*) {}
inline void acquire(void*) {}
inline void ignore_accesses() {}
inline void observe_accesses() {}
inline bool take_race() { return false; }
#endif

/// While it lives, memory accesses of the running fiber are the emulator's own: no race is seen in
/// them.
class Unobserved {
 public:
  Unobserved() { ignore_accesses(); }
  ~Unobserved() { observe_accesses(); }
  Unobserved(const Unobserved&) = delete;
  Unobserved& operator=(const Unobserved&) = delete;
};

/// Inside of Unobserved: the kernel's accesses are seen again.
class Observed {
 public:
  Observed() { observe_accesses(); }
  ~Observed() { ignore_accesses(); }
  Observed(const Observed&) = delete;
  Observed& operator=(const Observed&) = delete;
};

}  // namespace zebra::kernels::emulation::sanitizer
