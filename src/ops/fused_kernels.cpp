#include "ops/fused_kernels.h"

#include <cstdlib>
#include <string_view>

#include "zebra_kernels/row_kernels_cuda.h"

#ifdef ZEBRA_WITH_CUDA
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
inline constexpr bool kHasCuda = true;
#else
inline constexpr bool kHasCuda = false;
#endif

namespace zebra {
namespace {

/// The same kernel on the CPU or, in a build that has it, on the GPU.
template <auto kOnCpu, auto kOnGpu, class Arguments>
void launch_on(torch::Device device, const Arguments& arguments) {
#ifdef ZEBRA_WITH_CUDA
  if (device.is_cuda()) {
    const c10::cuda::CUDAGuard guard(device);
    kOnGpu(arguments, c10::cuda::getCurrentCUDAStream(device.index()).stream());
    return;
  }
#else
  TORCH_CHECK(device.is_cpu(), "this build has kernels for the CPU only, not for ", device);
#endif
  kOnCpu(arguments, parallel_tasks, std::nullopt);
}

std::size_t workspace_bytes(const kernels::RmsNormShape& shape, torch::Device device) {
#ifdef ZEBRA_WITH_CUDA
  if (device.is_cuda()) return kernels::cuda::rms_norm_backward_workspace_bytes(shape);
#endif
  static_cast<void>(device);
  return kernels::rms_norm_backward_workspace_bytes(shape);
}

}  // namespace

bool wants_reference_kernels() {
  static const bool wanted = [] {
    const char* value = std::getenv("ZEBRA_KERNEL");
    return value != nullptr && std::string_view(value) == "reference";
  }();
  return wanted;
}

bool uses_fused_kernels(const torch::Tensor& x) {
  const bool has_device = x.is_cpu() || (kHasCuda && x.is_cuda());
  return has_device && has_fused_type(x) && !wants_reference_kernels();
}

void launch(const kernels::RmsNormForward& a, torch::Device device) {
  launch_on<kernels::rms_norm_forward, kernels::cuda::rms_norm_forward>(device, a);
}

void launch(kernels::RmsNormBackward a, torch::Device device) {
  const auto bytes = static_cast<std::int64_t>(workspace_bytes(a.shape, device));
  const auto workspace = torch::empty({bytes}, torch::TensorOptions(device).dtype(torch::kUInt8));
  a.workspace = workspace.mutable_data_ptr();
  launch_on<kernels::rms_norm_backward, kernels::cuda::rms_norm_backward>(device, a);
}

void launch(const kernels::SwigluForward& a, torch::Device device) {
  launch_on<kernels::swiglu_forward, kernels::cuda::swiglu_forward>(device, a);
}

void launch(const kernels::SwigluBackward& a, torch::Device device) {
  launch_on<kernels::swiglu_backward, kernels::cuda::swiglu_backward>(device, a);
}

void launch(const kernels::CrossEntropy& a, torch::Device device) {
  launch_on<kernels::cross_entropy, kernels::cuda::cross_entropy>(device, a);
}

void launch(const kernels::Rotary& a, torch::Device device) {
  launch_on<kernels::rotary, kernels::cuda::rotary>(device, a);
}

void launch(const kernels::AdamwUpdate& a, torch::Device device) {
  launch_on<kernels::adamw_update, kernels::cuda::adamw_update>(device, a);
}

void launch(const kernels::EmbeddingBackward& a, torch::Device device) {
  launch_on<kernels::embedding_backward, kernels::cuda::embedding_backward>(device, a);
}

}  // namespace zebra
