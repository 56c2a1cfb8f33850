// libFuzzer's entry; tests/fuzz/run.sh builds it.

#include <cstddef>
#include <cstdint>

#include "fuzz/run_file_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  zebra::testing::try_run_file({reinterpret_cast<const char*>(data), size});
  return 0;
}
