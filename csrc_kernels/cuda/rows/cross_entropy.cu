#include <limits>

#include "../exponential.h"
#include "access.h"
#include "row_threads.h"
#include "zebra_kernels/row_kernels_cuda.h"

namespace zebra::kernels::rows {

inline constexpr int kCrossEntropyThreads = 1024;  // of a block, at most
/// Few long rows at a time rather than many: between its two readings a row waits in L2, and 132
/// rows of 128 K bfloat16 logits, one for each multiprocessor of an H100, take 34 of 50 MB.
inline constexpr int kLogitsOfThread = 32;
inline constexpr int kChunksAtOnce = 4;

template <class Access>
struct CrossEntropyParameters {
  using Element = typename Access::Element;

  RowLayout layout;
  int vocabulary = 0;
  std::int64_t rows = 0;
  const Element* logits = nullptr;
  const std::int64_t* targets = nullptr;
  float z_loss = 0.0F;
  float *cross_entropy = nullptr, *log_sum_exp = nullptr;
  Element* gradient = nullptr;
};

/// The largest of some logits, and the sum of the exponentials of all relative to it.
template <class Access>
class OnlineSum {
 public:
  using Element = typename Access::Element;

  /// The chunk at logit `at`.
  ZEBRA_DEVICE void add(const device::Words& words, int at, int vocabulary) {
    const auto chunk = unpack<Element>(words);
    const auto present = [&](int i) { return Access::is_present(at, i, vocabulary); };
    float largest = largest_;
#pragma unroll
    for (int i = 0; i < chunk.kCount; ++i) {
      if (present(i) && chunk.x[i] > largest) largest = chunk.x[i];
    }
    const float reference = finite(largest);
    sum_ *= exponential<Element>(largest_ - reference);
#pragma unroll
    for (int i = 0; i < chunk.kCount; ++i) {
      if (present(i)) sum_ += exponential<Element>(chunk.x[i] - reference);
    }
    largest_ = largest;
  }

  /// Of all threads of the row.
  ZEBRA_DEVICE void join(RowThreads& threads) {
    const float own = largest_;
    largest_ = finite(threads.largest(own));
    sum_ = threads.sum(sum_ * exponential<Element>(own - largest_));
  }

  ZEBRA_DEVICE float largest() const { return largest_; }
  ZEBRA_DEVICE float sum() const { return sum_; }

 private:
  /// Relative to -inf, logits of -inf would have no exponential.
  static ZEBRA_DEVICE float finite(float x) {
    return x == -std::numeric_limits<float>::infinity() ? 0.0F : x;
  }

  float largest_ = -std::numeric_limits<float>::infinity(), sum_ = 0.0F;
};

/// The second reading, out of L2, and the gradient.
template <class Access>
ZEBRA_DEVICE void store_logit_gradients(const CrossEntropyParameters<Access>& p,
                                        const RowThreads& threads, std::int64_t target,
                                        float largest, float factor) {
  using Element = typename Access::Element;
  const std::int64_t row = threads.row() * p.vocabulary;
  RowChunks<Access, kChunksAtOnce> logits;
  for (int first = 0; threads.chunk(first) < p.vocabulary; first += kChunksAtOnce) {
    logits.load(p.logits + row, threads, first, p.vocabulary);
#pragma unroll
    for (int c = 0; c < kChunksAtOnce; ++c) {
      const int at = threads.chunk(first + c);
      if (at >= p.vocabulary) break;
      auto chunk = unpack<Element>(logits.chunk[c]);
#pragma unroll
      for (int i = 0; i < chunk.kCount; ++i) {
        const float weight = exponential<Element>(chunk.x[i] - largest) * factor;
        chunk.x[i] = at + i == target ? weight - 1.0F : weight;
      }
      Access::store_values(p.gradient + row, at, p.vocabulary, chunk);
    }
  }
}

/// Of a row without a target.
template <class Access>
ZEBRA_DEVICE void store_zeros(const CrossEntropyParameters<Access>& p, const RowThreads& threads) {
  typename Access::Element* const gradient = p.gradient + threads.row() * p.vocabulary;
  for (int at = threads.chunk(0); at < p.vocabulary; at += threads.step()) {
    Access::store(gradient, at, p.vocabulary, {});
  }
}

template <class Access>
ZEBRA_KERNEL(kCrossEntropyThreads, 1)
cross_entropy_kernel(ZEBRA_PARAMETER CrossEntropyParameters<Access> p) {
  RowThreads threads(p.layout);
  const std::int64_t row = threads.row();
  if (row >= p.rows) return;
  const typename Access::Element* const logits = p.logits + row * p.vocabulary;
  const std::int64_t target = p.targets[row];
  const bool has_target = target != kNoTarget;
  float of_target = 0.0F;
  if (has_target) {
    of_target =
        rows::Access<typename Access::Element, false>::load_values(logits + target, 0, 1).x[0];
  }

  OnlineSum<Access> online;
  RowChunks<Access, kChunksAtOnce> chunks;
  for (int first = 0; threads.chunk(first) < p.vocabulary; first += kChunksAtOnce) {
    chunks.load(logits, threads, first, p.vocabulary);
#pragma unroll
    for (int c = 0; c < kChunksAtOnce; ++c) {
      const int at = threads.chunk(first + c);
      if (at < p.vocabulary) online.add(chunks.chunk[c], at, p.vocabulary);
    }
  }
  online.join(threads);
  // A gradient may take its logits' place, the target's among them, which all have read above. In a
  // block the sums' barriers order that, in a warp this one.
  device::warp_barrier();
  const float log_sum = device::natural_log(online.sum());
  const float log_sum_exp = online.largest() + log_sum;
  if (threads.is_first()) {
    // Without the rounding of log_sum_exp: exact where the target is all but certain.
    p.cross_entropy[row] = has_target ? online.largest() - of_target + log_sum : 0.0F;
    p.log_sum_exp[row] = log_sum_exp;
  }
  if (p.gradient == nullptr) return;
  if (has_target) {
    const float factor = (1.0F + 2.0F * p.z_loss * log_sum_exp) / online.sum();
    store_logit_gradients(p, threads, target, online.largest(), factor);
  } else {
    store_zeros(p, threads);
  }
}

}  // namespace zebra::kernels::rows

namespace zebra::kernels::cuda {

using namespace rows;

void cross_entropy(const CrossEntropy& a, CUstream_st* stream) {
  check_arguments(a);
  check_cuda_rows("cross-entropy", a.rows, a.vocabulary);
  if (a.rows == 0) return;
  const bool is_aligned =
      is_multiple_of_16(a.vocabulary, a.type) && are_aligned(a.logits, a.gradient);
  with_access(a.type, is_aligned, [&](auto access) {
    using Access = decltype(access);
    CrossEntropyParameters<Access> p;
    p.layout = row_layout(a.vocabulary, Access::kElements, kLogitsOfThread, kCrossEntropyThreads);
    p.vocabulary = static_cast<int>(a.vocabulary);
    p.rows = a.rows;
    p.logits = elements<Access>(a.logits);
    p.targets = a.targets;
    p.z_loss = a.z_loss;
    p.cross_entropy = a.cross_entropy;
    p.log_sum_exp = a.log_sum_exp;
    p.gradient = elements<Access>(a.gradient);
    device::launch(cross_entropy_kernel<Access>, device::Grid{p.layout.blocks(p.rows), 1, 1},
                   p.layout.block_threads(), kRowSharedBytes, p, stream);
  });
}

}  // namespace zebra::kernels::cuda
