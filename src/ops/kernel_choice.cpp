#include "ops/kernel_choice.h"

#include <cstdlib>
#include <string_view>

namespace zebra {

bool wants_reference_kernels() {
  static const bool wanted = [] {
    const char* value = std::getenv("ZEBRA_KERNEL");
    return value != nullptr && std::string_view(value) == "reference";
  }();
  return wanted;
}

bool uses_row_kernels(const torch::Tensor& x) {
#ifdef ZEBRA_WITH_CUDA
  const bool has_device = x.is_cpu() || x.is_cuda();
#else
  const bool has_device = x.is_cpu();
#endif
  const bool has_type = x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16;
  return has_device && has_type && !wants_reference_kernels();
}

}  // namespace zebra
