#include "ops/row_kernels.h"

#include "ops/parallel_tasks.h"
#include "zebra_kernels/row_kernels_cuda.h"

#ifdef ZEBRA_WITH_CUDA
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace zebra {
namespace {

#ifdef ZEBRA_WITH_CUDA
constexpr bool kWithCuda = true;

/// Runs launch(stream) with the device's current stream.
template <class Launch>
void on_gpu(torch::Device device, const Launch& launch) {
  const c10::cuda::CUDAGuard guard(device);
  launch(c10::cuda::getCurrentCUDAStream(device.index()).stream());
}
#else
constexpr bool kWithCuda = false;

template <class Launch>
void on_gpu(torch::Device device, const Launch& launch);
#endif

torch::Tensor workspace_of(std::size_t bytes, torch::Device device) {
  return torch::empty({static_cast<std::int64_t>(bytes)},
                      torch::TensorOptions(device).dtype(torch::kUInt8));
}

}  // namespace

kernels::ElementType element_type(const torch::Tensor& x) {
  TORCH_CHECK(x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16,
              "our kernels take float32 and bfloat16, got ", x.scalar_type());
  return x.scalar_type() == torch::kFloat32 ? kernels::ElementType::kFloat32
                                            : kernels::ElementType::kBfloat16;
}

void launch(const kernels::RmsNormForward& a, torch::Device device) {
  if constexpr (kWithCuda) {
    if (device.is_cuda()) {
      return on_gpu(device, [&](auto* stream) { kernels::cuda::rms_norm_forward(a, stream); });
    }
  }
  kernels::rms_norm_forward(a, parallel_tasks);
}

void launch(kernels::RmsNormBackward a, torch::Device device) {
  if constexpr (kWithCuda) {
    if (device.is_cuda()) {
      const auto workspace =
          workspace_of(kernels::cuda::rms_norm_backward_workspace_bytes(a.shape), device);
      a.workspace = workspace.mutable_data_ptr();
      return on_gpu(device, [&](auto* stream) { kernels::cuda::rms_norm_backward(a, stream); });
    }
  }
  const auto workspace = workspace_of(kernels::rms_norm_backward_workspace_bytes(a.shape), device);
  a.workspace = workspace.mutable_data_ptr();
  kernels::rms_norm_backward(a, parallel_tasks);
}

void launch(const kernels::SwigluForward& a, torch::Device device) {
  if constexpr (kWithCuda) {
    if (device.is_cuda()) {
      return on_gpu(device, [&](auto* stream) { kernels::cuda::swiglu_forward(a, stream); });
    }
  }
  kernels::swiglu_forward(a, parallel_tasks);
}

void launch(const kernels::SwigluBackward& a, torch::Device device) {
  if constexpr (kWithCuda) {
    if (device.is_cuda()) {
      return on_gpu(device, [&](auto* stream) { kernels::cuda::swiglu_backward(a, stream); });
    }
  }
  kernels::swiglu_backward(a, parallel_tasks);
}

void launch(const kernels::CrossEntropy& a, torch::Device device) {
  if constexpr (kWithCuda) {
    if (device.is_cuda()) {
      return on_gpu(device, [&](auto* stream) { kernels::cuda::cross_entropy(a, stream); });
    }
  }
  kernels::cross_entropy(a, parallel_tasks);
}

void launch(const kernels::Rotary& a, torch::Device device) {
  if constexpr (kWithCuda) {
    if (device.is_cuda()) {
      return on_gpu(device, [&](auto* stream) { kernels::cuda::rotary(a, stream); });
    }
  }
  kernels::rotary(a, parallel_tasks);
}

void launch(const kernels::AdamwUpdate& a, torch::Device device) {
  if constexpr (kWithCuda) {
    if (device.is_cuda()) {
      return on_gpu(device, [&](auto* stream) { kernels::cuda::adamw_update(a, stream); });
    }
  }
  kernels::adamw_update(a, parallel_tasks);
}

void launch(const kernels::EmbeddingBackward& a, torch::Device device) {
  if constexpr (kWithCuda) {
    if (device.is_cuda()) {
      return on_gpu(device, [&](auto* stream) { kernels::cuda::embedding_backward(a, stream); });
    }
  }
  kernels::embedding_backward(a, parallel_tasks);
}

}  // namespace zebra
