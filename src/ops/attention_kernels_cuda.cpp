#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "ops/attention_kernels.h"
#include "zebra_kernels/local_attention_cuda.h"

namespace zebra {
namespace {

struct CudaKernels {
  static constexpr bool kHasData = true, kTakesLateQueries = false;

  // Rows of bfloat16 move in pieces of 16 bytes.
  static torch::Tensor readable(const torch::Tensor& x) {
    bool in_place = x.stride(-1) == 1;
    if (x.scalar_type() == torch::kBFloat16) {
      in_place = in_place && reinterpret_cast<std::uintptr_t>(x.const_data_ptr()) % 16 == 0;
      for (std::int64_t i = 0; i < 3; ++i) in_place = in_place && x.stride(i) % 8 == 0;
    }
    return in_place ? x : x.clone(at::MemoryFormat::Contiguous);
  }

  static std::size_t saved_bytes(const kernels::LocalAttentionShape& shape) {
    return kernels::cuda::local_attention_saved_bytes(shape);
  }
  static std::size_t workspace_bytes(const kernels::LocalAttentionShape& shape) {
    return kernels::cuda::local_attention_backward_workspace_bytes(shape);
  }

  static void launch(const kernels::LocalAttentionForward& arguments, const torch::Tensor& saved,
                     torch::Device device) {
    const c10::cuda::CUDAGuard guard(device);
    kernels::cuda::local_attention_forward(arguments, saved.mutable_data_ptr(),
                                           c10::cuda::getCurrentCUDAStream());
  }
  static void launch(const kernels::LocalAttentionBackward& arguments, const torch::Tensor& saved,
                     torch::Device device) {
    const c10::cuda::CUDAGuard guard(device);
    kernels::cuda::local_attention_backward(arguments, saved.const_data_ptr(),
                                            c10::cuda::getCurrentCUDAStream());
  }
};

}  // namespace

bool cuda::has_local_attention(std::int64_t head_size) {
  return kernels::cuda::has_local_attention(head_size);
}

TORCH_LIBRARY_IMPL(zebra, CUDA, m) { AttentionOperators<CudaKernels>::register_in(m); }

}  // namespace zebra
