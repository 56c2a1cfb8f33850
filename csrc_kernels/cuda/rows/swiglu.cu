#include "row_arguments.h"
#include "swiglu_kernels.h"
#include "zebra_kernels/row_kernels_cuda.h"

namespace zebra::kernels::cuda {
namespace {

using namespace rows;

/// The same for both ways.
template <class Parameters>
void set_shape(Parameters& p, const SwigluShape& s, int elements_of_chunk) {
  p.layout = row_layout(s.width, elements_of_chunk, elements_of_chunk, kSwigluThreads);
  p.width = static_cast<int>(s.width);
  p.rows = s.rows;
}

template <class Parameters>
void launch_rows(void (*kernel)(Parameters), const Parameters& p, device::Stream stream) {
  device::launch(kernel, device::Grid{p.layout.blocks(p.rows), 1, 1}, p.layout.block_threads(), 0,
                 p, stream);
}

}  // namespace

void swiglu_forward(const SwigluForward& a, CUstream_st* stream) {
  check_arguments(a);
  check_cuda_rows("SwiGLU", a.shape.rows, a.shape.width);
  if (a.shape.rows == 0) return;
  const bool is_aligned =
      is_multiple_of_16(a.shape.width, a.shape.type) && are_aligned(a.gate_up, a.out);
  with_access(a.shape.type, is_aligned, [&](auto access) {
    using Access = decltype(access);
    SwigluForwardParameters<Access> p;
    set_shape(p, a.shape, Access::kElements);
    p.gate_up = elements<Access>(a.gate_up);
    p.out = elements<Access>(a.out);
    launch_rows(swiglu_forward_kernel<Access>, p, stream);
  });
}

void swiglu_backward(const SwigluBackward& a, CUstream_st* stream) {
  check_arguments(a);
  check_cuda_rows("SwiGLU", a.shape.rows, a.shape.width);
  if (a.shape.rows == 0) return;
  const bool is_aligned = is_multiple_of_16(a.shape.width, a.shape.type) &&
                          are_aligned(a.gate_up, a.d_out, a.d_gate_up, a.out);
  with_access(a.shape.type, is_aligned, [&](auto access) {
    using Access = decltype(access);
    SwigluBackwardParameters<Access> p;
    set_shape(p, a.shape, Access::kElements);
    p.gate_up = elements<Access>(a.gate_up);
    p.d_out = elements<Access>(a.d_out);
    p.d_gate_up = elements<Access>(a.d_gate_up);
    p.out = elements<Access>(a.out);
    launch_rows(swiglu_backward_kernel<Access>, p, stream);
  });
}

}  // namespace zebra::kernels::cuda
