#include "model/placement.h"

#include "base/error.h"

namespace zebra {

torch::ScalarType weight_type(Precision precision) {
  return precision == Precision::bf16 ? torch::kBFloat16 : torch::kFloat32;
}

torch::Device resolve_device(Device device) {
  const bool available = torch::cuda::is_available();
  if (device == Device::cuda && !available) {
    throw InputError(
        "run.device: cuda was asked for, but LibTorch sees no usable GPU here (a build without "
        "CUDA, no GPU, "
        "or a driver that is too old); set run.device to cpu or auto");
  }
  return device == Device::cpu || !available ? torch::Device(torch::kCPU)
                                             : torch::Device(torch::kCUDA, 0);
}

}  // namespace zebra
