#pragma once

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

// Context parallelism: N ranks share each sequence.

namespace zebra {

/// What a rank holds of each sequence: of 2 N equal chunks, one behind the other, those numbered
/// rank and 2 N - 1 - rank. So each holds an early and a late one, and all have as many pairs of a
/// query and an earlier key.
struct ContextShare {
  int rank = 0, ranks = 1;

  bool is_whole() const { return ranks == 1; }
  std::int64_t chunk_count() const { return 2 * std::int64_t{ranks}; }
  std::array<std::int64_t, 2> chunks() const { return {rank, chunk_count() - 1 - rank}; }
  std::int64_t owner(std::int64_t chunk) const {
    return std::min(chunk, chunk_count() - 1 - chunk);
  }
  /// Of sequences of `length` tokens, a multiple of chunk_count().
  std::int64_t chunk_length(std::int64_t length) const { return length / chunk_count(); }

  /// The rank's tokens of x [B, T, …], in order: [B, T / N, …]; x itself where that is the whole.
  torch::Tensor part_of(const torch::Tensor& x) const {
    if (is_whole()) return x;
    const auto chunk = chunk_length(x.size(1));
    return torch::cat(
        {x.narrow(1, chunks()[0] * chunk, chunk), x.narrow(1, chunks()[1] * chunk, chunk)}, 1);
  }
};

/// How the ranks that share sequences exchange keys and values. All make the same calls in the same
/// order. A call returns at once; its result waits for what is on its way and gives it.
class ContextExchange {
 public:
  using Arrival = std::function<torch::Tensor()>;

  virtual ~ContextExchange() = default;

  virtual ContextShare share() const = 0;

  /// `own`, contiguous and of one shape on all ranks, of every rank: [N, …].
  virtual Arrival gather(const torch::Tensor& own, const std::string& what) = 0;

  /// The first to[0] rows of `own` (contiguous) go to rank 0, the next to[1] to rank 1, …; from[r]
  /// come from rank r. Gives them in the order of the ranks.
  virtual Arrival exchange(const torch::Tensor& own, const std::vector<std::int64_t>& to,
                           const std::vector<std::int64_t>& from, const std::string& what) = 0;
};

}  // namespace zebra
