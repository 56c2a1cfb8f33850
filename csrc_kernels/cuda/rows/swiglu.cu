#include "../exponential.h"
#include "access.h"
#include "row_threads.h"
#include "zebra_kernels/row_kernels_cuda.h"

namespace zebra::kernels::rows {

inline constexpr int kSwigluThreads = 256;  // of a block, at most

template <class Access>
struct SwigluForwardParameters {
  using Element = typename Access::Element;

  RowLayout layout;
  int width = 0;
  std::int64_t rows = 0;
  const Element* gate_up = nullptr;
  Element* out = nullptr;
};

template <class Access>
struct SwigluBackwardParameters {
  using Element = typename Access::Element;

  RowLayout layout;
  int width = 0;
  std::int64_t rows = 0;
  const Element *gate_up = nullptr, *d_out = nullptr;
  Element *d_gate_up = nullptr, *out = nullptr;
};

/// 1 / (1 + exp(-x)): 0 and 1 for large x, never NaN for a finite one.
template <class Element>
ZEBRA_DEVICE float sigmoid(float x) {
  return device::reciprocal(1.0F + exponential<Element>(-x));
}

/// In this order forward and backward get the same bits.
ZEBRA_DEVICE float swiglu(float gate, float sigmoid_of_gate, float up) {
  return gate * sigmoid_of_gate * up;
}

template <class Access>
ZEBRA_KERNEL(kSwigluThreads, 1)
swiglu_forward_kernel(ZEBRA_PARAMETER SwigluForwardParameters<Access> p) {
  const RowThreads threads(p.layout);
  if (threads.row() >= p.rows) return;
  const auto* const gates = p.gate_up + threads.row() * 2 * p.width;
  const auto* const ups = gates + p.width;
  auto* const out = p.out + threads.row() * p.width;
  for (int at = threads.chunk(0); at < p.width; at += threads.step()) {
    const auto gate = Access::load_values(gates, at, p.width);
    auto up = Access::load_values(ups, at, p.width);
#pragma unroll
    for (int i = 0; i < Access::kElements; ++i) {
      up.x[i] = swiglu(gate.x[i], sigmoid<typename Access::Element>(gate.x[i]), up.x[i]);
    }
    Access::store_values(out, at, p.width, up);
  }
}

template <class Access>
ZEBRA_KERNEL(kSwigluThreads, 1)
swiglu_backward_kernel(ZEBRA_PARAMETER SwigluBackwardParameters<Access> p) {
  const RowThreads threads(p.layout);
  if (threads.row() >= p.rows) return;
  const std::int64_t row = threads.row() * p.width;
  for (int at = threads.chunk(0); at < p.width; at += threads.step()) {
    auto gate = Access::load_values(p.gate_up + 2 * row, at, p.width);
    auto up = Access::load_values(p.gate_up + 2 * row + p.width, at, p.width);
    auto d_out = Access::load_values(p.d_out + row, at, p.width);
#pragma unroll
    for (int i = 0; i < Access::kElements; ++i) {
      const float g = gate.x[i], u = up.x[i], d = d_out.x[i],
                  s = sigmoid<typename Access::Element>(g);
      // A sigmoid of 0 comes first, so that no infinite product meets it.
      gate.x[i] = s * (1.0F + g * (1.0F - s)) * d * u;
      up.x[i] = g * s * d;
      d_out.x[i] = swiglu(g, s, u);
    }
    Access::store_values(p.d_gate_up + 2 * row, at, p.width, gate);
    Access::store_values(p.d_gate_up + 2 * row + p.width, at, p.width, up);
    if (p.out != nullptr) Access::store_values(p.out + row, at, p.width, d_out);
  }
}

}  // namespace zebra::kernels::rows

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
