#include "../memory_layout.h"
#include "rms_norm_kernels.h"
#include "row_arguments.h"
#include "zebra_kernels/row_kernels_cuda.h"

namespace zebra::kernels::cuda {
namespace {

using namespace rows;

RowLayout layout_of(const RmsNormShape& s) {
  const int elements = s.type == ElementType::kFloat32 ? 4 : 8;
  return row_layout(s.width, elements, kHeldChunks * elements, kRmsNormThreads);
}

/// How many rows of partial sums of d_weight the backward writes: one for each group of threads,
/// so that all groups together have kRmsNormBackwardThreads threads.
std::int64_t partials_of(const RmsNormShape& s) {
  return std::min<std::int64_t>(s.rows, kRmsNormBackwardThreads / layout_of(s).threads);
}

/// Whole chunks of both types.
std::int64_t partial_width(const RmsNormShape& s) { return (s.width + 7) / 8 * 8; }

float* take_partials(MemoryLayout& memory, const RmsNormShape& s) {
  return memory.take<float>(static_cast<std::size_t>(partials_of(s) * partial_width(s)));
}

void check_cuda_shape(const RmsNormShape& s) {
  check_shape(s);
  check_cuda_rows("RMSNorm", s.rows, s.width);
}

void add_partials(const RmsNormBackward& arguments, const float* partials, device::Stream stream) {
  AddPartialsParameters p;
  p.width = static_cast<int>(arguments.shape.width);
  p.partial_width = static_cast<int>(partial_width(arguments.shape));
  p.partials = partials_of(arguments.shape);
  p.partial_d_weight = partials;
  p.d_weight = arguments.d_weight;
  device::launch(add_partials_kernel,
                 device::Grid{(p.width + kPartialColumns - 1) / kPartialColumns, 1, 1},
                 kPartialColumns * kPartialThreads, kPartialSharedBytes, p, stream);
}

}  // namespace

std::size_t rms_norm_backward_workspace_bytes(const RmsNormShape& shape) {
  check_cuda_shape(shape);
  MemoryLayout memory(nullptr);
  take_partials(memory, shape);
  return memory.bytes();
}

void rms_norm_forward(const RmsNormForward& a, CUstream_st* stream) {
  check_cuda_shape(a.shape);
  check_arguments(a);
  if (a.shape.rows == 0) return;
  const bool is_aligned = is_multiple_of_16(a.shape.width, a.shape.type) &&
                          are_aligned(a.x, a.added, a.weight, a.sum, a.out);
  with_access(a.shape.type, is_aligned, [&](auto access) {
    using Access = decltype(access);
    RmsNormForwardParameters<Access> p;
    p.layout = layout_of(a.shape);
    p.width = static_cast<int>(a.shape.width);
    p.rows = a.shape.rows;
    p.x = elements<Access>(a.x);
    p.added = elements<Access>(a.added);
    p.weight = elements<Access>(a.weight);
    p.eps = a.eps;
    p.sum = elements<Access>(a.sum);
    p.out = elements<Access>(a.out);
    p.inverse_rms = a.inverse_rms;
    device::launch(rms_norm_forward_kernel<Access>, device::Grid{p.layout.blocks(p.rows), 1, 1},
                   p.layout.block_threads(), kRowSharedBytes, p, stream);
  });
}

void rms_norm_backward(const RmsNormBackward& a, CUstream_st* stream) {
  check_cuda_shape(a.shape);
  check_arguments(a);
  MemoryLayout workspace(a.workspace);
  float* const partials = take_partials(workspace, a.shape);
  const bool is_aligned = is_multiple_of_16(a.shape.width, a.shape.type) &&
                          are_aligned(a.sum, a.weight, a.d_out, a.d_sum, a.d_x);
  if (a.shape.rows > 0) {
    with_access(a.shape.type, is_aligned, [&](auto access) {
      using Access = decltype(access);
      RmsNormBackwardParameters<Access> p;
      p.layout = layout_of(a.shape);
      p.width = static_cast<int>(a.shape.width);
      p.partial_width = static_cast<int>(partial_width(a.shape));
      p.rows = a.shape.rows;
      p.partials = partials_of(a.shape);
      p.sum = elements<Access>(a.sum);
      p.weight = elements<Access>(a.weight);
      p.d_out = elements<Access>(a.d_out);
      p.d_sum = elements<Access>(a.d_sum);
      p.inverse_rms = a.inverse_rms;
      p.d_x = elements<Access>(a.d_x);
      p.partial_d_weight = partials;
      device::launch(rms_norm_backward_kernel<Access>,
                     device::Grid{p.layout.blocks(p.partials), 1, 1}, p.layout.block_threads(),
                     kRowSharedBytes, p, stream);
    });
  }
  add_partials(a, partials, stream);
}

}  // namespace zebra::kernels::cuda
