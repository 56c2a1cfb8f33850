#include "model/placement.h"

#include <torch/cuda.h>

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <c10/util/env.h>

#include "base/error.h"
#include "base/system.h"
#include "ops/cuda_library.h"

namespace zebra {

torch::ScalarType weight_type(Precision precision) {
  return precision == Precision::bf16 ? torch::kBFloat16 : torch::kFloat32;
}

torch::Device resolve_device(Device device, int local_rank) {
  const bool available = torch::cuda::is_available();
  if (device == Device::cuda && !available) {
    const auto& fault = cuda_library_fault();
    throw InputError("run.device: cuda was asked for, but LibTorch sees no usable GPU here: " +
                     (fault.empty() ? "none is there, or the driver is too old" : fault) +
                     "; set run.device to cpu or auto");
  }
  if (device == Device::cpu || !available) return torch::Device(torch::kCPU);
  const auto gpus = static_cast<int>(torch::cuda::device_count());
  // Slurm may show each rank its own GPU only.
  if (gpus == 1) return torch::Device(torch::kCUDA, 0);
  if (local_rank >= gpus) {
    throw InputError("run.device: this host runs more ranks than it has GPUs (" +
                     std::to_string(gpus) +
                     "): start one rank for each GPU, or set run.device to cpu");
  }
  return torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(local_rank));
}

std::int64_t device_memory_bytes(torch::Device device) {
  if (device.is_cpu()) return memory_of_machine();
  const auto [free, total] = at::getDeviceAllocator(device.type())->getMemoryInfo(device.index());
  return static_cast<std::int64_t>(total);
}

void set_numerics(bool deterministic, torch::Device device) {
  auto& context = at::globalContext();
  // Where it is only to warn, LibTorch leaves FlashAttention's backward to atomic additions.
  context.setDeterministicAlgorithms(deterministic, /*warn_only=*/device.is_cpu());
  if (deterministic && !device.is_cpu()) {
    // The size that LibTorch takes on Hopper anyway, said to cuBLAS too; another choice stays.
    c10::utils::set_env("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/false);
  }
  context.setDeterministicFillUninitializedMemory(
      false);  // a debugging aid that writes every new tensor twice
  context.setFloat32MatmulPrecision("highest");
  // Weight gradients are sums over all tokens of a micro-batch, which cuBLAS splits.
  context.setAllowBF16ReductionCuBLAS(false);
}

}  // namespace zebra
