#include "emulation/sanitizer.h"

#ifdef ZEBRA_THREAD_SANITIZER

#include <utility>

static bool race_reported = false;  // and not taken

// ThreadSanitizer calls these instead of its own.
extern "C" {
[[gnu::no_sanitize("thread")]] void __tsan_on_report(void*) { race_reported = true; }
// Kernels run again and again with the same stacks and at the same addresses.
const char* __tsan_default_options() {
  return "suppress_equal_stacks=0:suppress_equal_addresses=0";
}
}
namespace __tsan {
// Whether the program shall fail.
bool OnFinalize(bool) { return race_reported; }
}  // namespace __tsan

namespace zebra::kernels::emulation::sanitizer {

bool take_race() { return std::exchange(race_reported, false); }

}  // namespace zebra::kernels::emulation::sanitizer

#endif
