#include "model/rms_norm.h"

namespace zebra {

void RMSNormImpl::reset() {
  weight = register_listed(
      *this, "weight", {{"weight", ParameterRole::norm, kOnes, {{"weight", {width_}}}}}, memory_);
  const torch::NoGradGuard no_grad;
  if (memory_ == ParameterMemory::allocated) weight.fill_(1.0);
}

RMSNorm listed_norm(const std::string& path, const std::vector<ParameterSpec>& list, double eps,
                    ParameterMemory memory) {
  const auto spec = std::ranges::find(list, path, &ParameterSpec::path);
  return spec == list.end() ? RMSNorm(nullptr) : RMSNorm(spec->numel(), eps, memory);
}

}  // namespace zebra
