#include "ops/part_scope.h"

#ifdef ZEBRA_WITH_CUDA
#include <nvtx3/nvToolsExt.h>
#endif

namespace zebra {

#ifdef ZEBRA_WITH_CUDA
namespace {

// Marks a scope whose range is to be closed.
struct OpenRange : at::ObserverContext {};

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
  if (!std::string_view(function.name()).starts_with(kPartPrefix)) return nullptr;
  nvtxRangePushA(function.name());
  return std::make_unique<OpenRange>();
}

void end(const at::RecordFunction&, at::ObserverContext* context) {
  if (context != nullptr) nvtxRangePop();
}

}  // namespace

void mark_nvtx_ranges() {
  [[maybe_unused]] static const auto once = at::addGlobalCallback(
      at::RecordFunctionCallback(begin, end).scopes({at::RecordScope::USER_SCOPE}));
}
#else
void mark_nvtx_ranges() {}
#endif

}  // namespace zebra
