#include "../arguments.h"
#include "access.h"
#include "row_threads.h"
#include "zebra_kernels/row_kernels_cuda.h"

// A thread holds the first kHeldChunks chunks of its part of a row in registers, from the reduction
// to the write: memory is read once. What a row has beyond that (from 16,384 columns of bfloat16
// on, 8,192 of float32) is read a second time.

namespace zebra::kernels::rows {

inline constexpr int kRmsNormThreads = 512;  // of a block, at most
inline constexpr int kHeldChunks = 4;
template <class Access>
inline constexpr int kHeldElements = kHeldChunks* Access::kElements;
/// All threads of the backward together, so that the sums of d_weight, and their order, depend on
/// the shape alone: four blocks of 128 on nearly every multiprocessor of an H100.
inline constexpr int kRmsNormBackwardThreads = 1 << 16;
/// add_partials_kernel: columns, and threads of each.
inline constexpr int kPartialColumns = 32, kPartialThreads = 32;
inline constexpr int kPartialSharedBytes =
    kPartialColumns * kPartialThreads * static_cast<int>(sizeof(float));

template <class Access>
struct RmsNormForwardParameters {
  using Element = typename Access::Element;

  RowLayout layout;
  int width = 0;
  std::int64_t rows = 0;
  const Element *x = nullptr, *added = nullptr, *weight = nullptr;
  float eps = 0.0F;
  Element *sum = nullptr, *out = nullptr;
  float* inverse_rms = nullptr;
};

template <class Access>
struct RmsNormBackwardParameters {
  using Element = typename Access::Element;

  RowLayout layout;
  int width = 0, partial_width = 0;
  std::int64_t rows = 0, partials = 0;  // partials <= rows
  const Element *sum = nullptr, *weight = nullptr, *d_out = nullptr, *d_sum = nullptr;
  const float* inverse_rms = nullptr;
  Element* d_x = nullptr;
  float* partial_d_weight = nullptr;  // [partials, partial_width], aligned to 16 bytes
};

struct AddPartialsParameters {
  int width = 0, partial_width = 0;  // partial_width: a multiple of 8
  std::int64_t partials = 0;
  const float* partial_d_weight = nullptr;
  float* d_weight = nullptr;
};

/// The chunks that a thread keeps of a row.
template <class Access>
using Held = RowChunks<Access, kHeldChunks>;

template <class Element>
ZEBRA_DEVICE device::Words add(const device::Words& a, const device::Words& b) {
  Values<Element> x = unpack<Element>(a);
  const Values<Element> y = unpack<Element>(b);
#pragma unroll
  for (int i = 0; i < x.kCount; ++i) x.x[i] += y.x[i];
  return pack(x);
}

template <class Element>
ZEBRA_DEVICE float sum_of_squares(const device::Words& words) {
  const Values<Element> x = unpack<Element>(words);
  float sum = 0.0F;
#pragma unroll
  for (int i = 0; i < x.kCount; ++i) sum += x.x[i] * x.x[i];
  return sum;
}

/// sum inverse_rms weight
template <class Element>
ZEBRA_DEVICE device::Words normalized(const device::Words& sum, float inverse_rms,
                                      const device::Words& weight) {
  Values<Element> x = unpack<Element>(sum);
  const Values<Element> w = unpack<Element>(weight);
#pragma unroll
  for (int i = 0; i < x.kCount; ++i) x.x[i] = x.x[i] * inverse_rms * w.x[i];
  return pack(x);
}

template <class Access>
ZEBRA_KERNEL(kRmsNormThreads, 1)
rms_norm_forward_kernel(ZEBRA_PARAMETER RmsNormForwardParameters<Access> p) {
  using Element = typename Access::Element;
  RowThreads threads(p.layout);
  if (threads.row() >= p.rows) return;
  const std::int64_t row = threads.row() * p.width;
  const Element* const x = p.x + row;
  const bool adds = p.added != nullptr;
  const Element* const added = adds ? p.added + row : x;
  Element* const sum = p.sum + row;
  Element* const out = p.out + row;

  Held<Access> held;
  held.load(x, threads, 0, p.width);
  if (adds) {
    Held<Access> other;
    other.load(added, threads, 0, p.width);
#pragma unroll
    for (int c = 0; c < kHeldChunks; ++c) {
      held.chunk[c] = add<Element>(held.chunk[c], other.chunk[c]);
    }
  }
  float squares = 0.0F;
#pragma unroll
  for (int c = 0; c < kHeldChunks; ++c) squares += sum_of_squares<Element>(held.chunk[c]);
  const int rest = threads.chunk(kHeldChunks);
  for (int at = rest; at < p.width; at += threads.step()) {
    device::Words words = Access::load(x, at, p.width);
    if (adds) {
      words = add<Element>(words, Access::load(added, at, p.width));
      Access::store(sum, at, p.width, words);
    }
    squares += sum_of_squares<Element>(words);
  }

  Held<Access> weight;  // on its way while the threads of the row meet
  weight.load(p.weight, threads, 0, p.width);
  const float mean = threads.sum(squares) / static_cast<float>(p.width);
  const float inverse_rms = 1.0F / device::square_root(mean + p.eps);
  if (threads.is_first() && p.inverse_rms != nullptr) p.inverse_rms[threads.row()] = inverse_rms;
#pragma unroll
  for (int c = 0; c < kHeldChunks; ++c) {
    const int at = threads.chunk(c);
    if (at >= p.width) break;
    if (adds) Access::store(sum, at, p.width, held.chunk[c]);
    Access::store(out, at, p.width,
                  normalized<Element>(held.chunk[c], inverse_rms, weight.chunk[c]));
  }
  for (int at = rest; at < p.width; at += threads.step()) {
    const device::Words words = Access::load(adds ? sum : x, at, p.width);
    Access::store(out, at, p.width,
                  normalized<Element>(words, inverse_rms, Access::load(p.weight, at, p.width)));
  }
}

/// The sum of sum d_out weight over a chunk.
template <class Element>
ZEBRA_DEVICE float weighted_dot(const Values<Element>& sum, const Values<Element>& d_out,
                                const Values<Element>& weight) {
  float dot = 0.0F;
#pragma unroll
  for (int i = 0; i < sum.kCount; ++i) dot += sum.x[i] * (d_out.x[i] * weight.x[i]);
  return dot;
}

/// Writes d_x of a chunk and adds d_out n to the columns' sums. mean: of d n.
template <class Access>
ZEBRA_DEVICE void store_gradient(const RmsNormBackwardParameters<Access>& p, std::int64_t row,
                                 int at, const device::Words& sum_words,
                                 const device::Words& d_out_words, const device::Words& d_sum_words,
                                 float inverse_rms, float mean, float* columns) {
  using Element = typename Access::Element;
  const auto sum = unpack<Element>(sum_words), d_out = unpack<Element>(d_out_words);
  const auto weight = Access::load_values(p.weight, at, p.width);
  Values<Element> d_x = unpack<Element>(d_sum_words);
#pragma unroll
  for (int i = 0; i < sum.kCount; ++i) {
    const float normalized = sum.x[i] * inverse_rms;
    d_x.x[i] += inverse_rms * (d_out.x[i] * weight.x[i] - normalized * mean);
    columns[i] += d_out.x[i] * normalized;
  }
  Access::store_values(p.d_x + row, at, p.width, d_x);
}

/// The same where the columns' sums are in memory; `first`: there are none yet.
template <class Access>
ZEBRA_DEVICE void store_gradient_of_rest(const RmsNormBackwardParameters<Access>& p,
                                         std::int64_t row, int at, float inverse_rms, float mean,
                                         float* partial, bool first) {
  constexpr int kElements = Access::kElements;
  float columns[kElements];
#pragma unroll
  for (int i = 0; i < kElements; ++i) columns[i] = first ? 0.0F : partial[at + i];
  device::Words d_sum = {};
  if (p.d_sum != nullptr) d_sum = Access::load(p.d_sum + row, at, p.width);
  store_gradient(p, row, at, Access::load(p.sum + row, at, p.width),
                 Access::load(p.d_out + row, at, p.width), d_sum, inverse_rms, mean, columns);
#pragma unroll
  for (int i = 0; i < kElements; ++i) partial[at + i] = columns[i];
}

/// Each group of threads walks over every partials-th row and leaves its sums of d_weight in a row
/// of the workspace.
template <class Access>
ZEBRA_KERNEL(kRmsNormThreads, 1)
rms_norm_backward_kernel(ZEBRA_PARAMETER RmsNormBackwardParameters<Access> p) {
  using Element = typename Access::Element;
  constexpr int kElements = Access::kElements;
  RowThreads threads(p.layout);
  const std::int64_t group = threads.row();
  if (group >= p.partials) return;
  float* const partial = p.partial_d_weight + group * p.partial_width;
  float columns[kHeldElements<Access>] = {};
  const int rest = threads.chunk(kHeldChunks);

  for (std::int64_t index = group; index < p.rows; index += p.partials) {
    const std::int64_t row = index * p.width;
    Held<Access> sum, d_out, d_sum = {};
    sum.load(p.sum + row, threads, 0, p.width);
    d_out.load(p.d_out + row, threads, 0, p.width);
    if (p.d_sum != nullptr) d_sum.load(p.d_sum + row, threads, 0, p.width);
    float dot = 0.0F;
#pragma unroll
    for (int c = 0; c < kHeldChunks; ++c) {
      const int at = threads.chunk(c);
      if (at >= p.width) break;
      dot += weighted_dot(unpack<Element>(sum.chunk[c]), unpack<Element>(d_out.chunk[c]),
                          Access::load_values(p.weight, at, p.width));
    }
    for (int at = rest; at < p.width; at += threads.step()) {
      dot += weighted_dot(Access::load_values(p.sum + row, at, p.width),
                          Access::load_values(p.d_out + row, at, p.width),
                          Access::load_values(p.weight, at, p.width));
    }
    const float inverse_rms = p.inverse_rms[index];
    const float mean = threads.sum(dot) * inverse_rms / static_cast<float>(p.width);
#pragma unroll
    for (int c = 0; c < kHeldChunks; ++c) {
      const int at = threads.chunk(c);
      if (at >= p.width) break;
      store_gradient(p, row, at, sum.chunk[c], d_out.chunk[c], d_sum.chunk[c], inverse_rms, mean,
                     columns + c * kElements);
    }
    for (int at = rest; at < p.width; at += threads.step()) {
      store_gradient_of_rest(p, row, at, inverse_rms, mean, partial, index == group);
    }
  }

#pragma unroll
  for (int c = 0; c < kHeldChunks; ++c) {
    const int at = threads.chunk(c);
    if (at >= p.width) break;
#pragma unroll
    for (int i = 0; i < kElements; ++i) partial[at + i] = columns[c * kElements + i];
  }
}

/// d_weight: each thread of a column adds every kPartialThreads-th partial sum, then one thread
/// what these have found.
ZEBRA_KERNEL(kPartialColumns* kPartialThreads, 1)
add_partials_kernel(ZEBRA_PARAMETER AddPartialsParameters p) {
  const int lane = device::thread_index() % kPartialColumns;
  const int thread = device::thread_index() / kPartialColumns;
  const int column = device::block_index_x() * kPartialColumns + lane;
  float* const sums = reinterpret_cast<float*>(device::shared_memory()) + lane;
  float sum = 0.0F;
  if (column < p.width) {
#pragma unroll 8
    for (std::int64_t i = thread; i < p.partials; i += kPartialThreads) {
      sum += p.partial_d_weight[i * p.partial_width + column];
    }
  }
  sums[thread * kPartialColumns] = sum;
  device::block_barrier();
  if (thread > 0 || column >= p.width) return;
#pragma unroll
  for (int i = 1; i < kPartialThreads; ++i) sum += sums[i * kPartialColumns];
  p.d_weight[column] = sum;
}

}  // namespace zebra::kernels::rows

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
