#include "distributed/update_exchange.h"

#include <mutex>

#include "support/ranks.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// Two buffers: one of three matrices with gaps, one that a single matrix fills.
std::vector<FlatMatrix> matrices_on(std::int64_t ranks) {
  const auto shard = [&](std::int64_t size) { return (size + ranks - 1) / ranks; };
  return {{{5, 7}, 0, shard(200)},
          {{8, 4}, 64, shard(200)},
          {{2, 3}, 128, shard(200)},
          {{9, 11}, 0, shard(99)}};
}

torch::Tensor matrix_of(std::size_t i, const MatrixShape& shape) {
  return (torch::arange(shape.rows * shape.columns) + 100 * static_cast<std::int64_t>(i))
      .to(torch::kBFloat16);
}

TEST_CASE("matrices come whole to one rank each, and back to where they were") {
  const int ranks = GENERATE(1, 2, 3, 4, 7);  // with seven some own nothing and some have nothing
  std::vector<int> owners(4);
  std::mutex mutex;
  run_on_ranks(ranks, 1, [&](TestRank& own) {
    UpdateExchange exchange(matrices_on(ranks), *own.shards);
    std::vector<torch::Tensor> pieces;
    for (std::size_t i = 0; i < 4; ++i) {
      const auto [begin, size] = exchange.piece(i, own.rank);
      const auto whole = matrix_of(i, exchange.matrices()[i].shape);
      pieces.push_back(whole.narrow(0, begin, size));
    }
    auto whole = exchange.to_owners(pieces);
    for (auto& matrix : whole) {
      const auto i = static_cast<std::size_t>(matrix[0][0].item<float>()) / 100;
      const auto& shape = exchange.matrices()[i].shape;
      const auto expected = matrix_of(i, shape).view({shape.rows, shape.columns});
      if (!same_bits(matrix, expected)) throw std::runtime_error("another matrix");
      const std::lock_guard lock(mutex);
      ++owners[i];
      matrix = (matrix + 1).t().contiguous().t();  // as a transposed result lies in memory
    }
    const auto back = exchange.from_owners(whole, pieces.front().options());
    for (std::size_t i = 0; i < 4; ++i)
      if (!same_bits(back[i], pieces[i] + 1)) throw std::runtime_error("another piece");
  });
  REQUIRE(owners == std::vector<int>(4, 1));
}

}  // namespace
}  // namespace zebra
