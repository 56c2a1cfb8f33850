#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

#include <cstdint>
#include <stdexcept>

#include "operators.h"
#include "zebra_kernels/local_attention_cuda.h"

// The operators' kernels on CUDA, in a library of their own: it asks libtorch_cuda for the current
// stream, which is there only where torch is built with CUDA.

namespace zebra::stable {
namespace {

CUstream_st* current_stream(std::int32_t device) {
  void* stream = nullptr;
  if (aoti_torch_get_current_cuda_stream(device, &stream) != AOTI_TORCH_SUCCESS) {
    throw std::runtime_error("local attention: torch has no current CUDA stream.");
  }
  return static_cast<CUstream_st*>(stream);
}

struct Cuda {
  // Rows of bfloat16 move in pieces of 16 bytes.
  static Tensor readable(const Tensor& x) {
    bool in_place = x.stride(x.dim() - 1) == 1;
    if (x.scalar_type() == ScalarType::BFloat16) {
      in_place = in_place && reinterpret_cast<std::uintptr_t>(x.const_data_ptr()) % 16 == 0;
      for (std::int64_t i = 0; i < 3; ++i) in_place = in_place && x.stride(i) % 8 == 0;
    }
    if (in_place) return x;
    const auto sizes = x.sizes();
    auto copy = allocate(x, {sizes.begin(), sizes.end()}, x.scalar_type());
    return torch::stable::copy_(copy, x);
  }

  static std::size_t saved_bytes(const kernels::LocalAttentionShape& shape) {
    return kernels::cuda::local_attention_saved_bytes(shape);
  }
  static std::size_t workspace_bytes(const kernels::LocalAttentionShape& shape) {
    return kernels::cuda::local_attention_backward_workspace_bytes(shape);
  }

  static void launch(const kernels::LocalAttentionForward& arguments, const Tensor& saved,
                     std::int32_t device) {
    const torch::stable::accelerator::DeviceGuard guard(device);
    kernels::cuda::local_attention_forward(arguments, saved.mutable_data_ptr(),
                                           current_stream(device));
  }
  static void launch(const kernels::LocalAttentionBackward& arguments, const Tensor& saved,
                     std::int32_t device) {
    const torch::stable::accelerator::DeviceGuard guard(device);
    kernels::cuda::local_attention_backward(arguments, saved.const_data_ptr(),
                                            current_stream(device));
  }
};

STABLE_TORCH_LIBRARY_IMPL(zebra_attention, CUDA, m) {
  m.impl("forward", TORCH_BOX(&Operators<Cuda>::forward));
  m.impl("backward", TORCH_BOX(&Operators<Cuda>::backward));
}

}  // namespace
}  // namespace zebra::stable
