#include "ops/cuda_library.h"

#include <dlfcn.h>

#include "base/build_info.h"
#include "base/error.h"
#include "support/catch.h"

using zebra::cuda_library;
using zebra::cuda_library_fault;

TEST_CASE(
    "without a driver LibTorch's CUDA library is not loaded, and whoever wants it hears why") {
  if (cuda_library_fault().empty()) {  // a machine with a driver
    CHECK(dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_NOLOAD) != nullptr);
    CHECK_NOTHROW(cuda_library());
    return;
  }
  CHECK(dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_NOLOAD) == nullptr);
  const std::string reason = zebra::kCudaEnabled ? "libcuda.so.1" : "a build without CUDA";
  CHECK(cuda_library_fault().find(reason) != std::string::npos);
  CHECK_THROWS_AS(cuda_library(), zebra::RunError);
}
