#include "train/metrics.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace zebra {

DeferredValues::DeferredValues(const torch::Tensor& values) {
  if (values.is_cpu()) {
    on_host_ = values.clone();
    return;
  }
  on_host_ = torch::empty(values.sizes(),
                          torch::TensorOptions().dtype(values.scalar_type()).pinned_memory(true));
  on_host_.copy_(values, /*non_blocking=*/true);
  copied_.emplace(values.device().type());
  copied_->record(c10::impl::VirtualGuardImpl(values.device().type()).getStream(values.device()));
}

std::vector<double> DeferredValues::get() const {
  if (copied_) copied_->synchronize();
  const auto* data = on_host_.const_data_ptr<double>();
  return {data, data + on_host_.numel()};
}

}  // namespace zebra
