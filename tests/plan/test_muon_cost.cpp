#include "plan/muon_cost.h"

#include <algorithm>

#include "plan/plan.h"
#include "support/catch.h"
#include "support/models.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("Newton-Schulz costs three products in each of five steps, the short side first") {
  // X X^T and B X take 2 r r c each, A A 2 r r r.
  REQUIRE(newton_schulz_flops({3, 10}) == 5.0 * (2 * 3 * 3 * 10 * 2 + 2 * 27));
  REQUIRE(newton_schulz_flops({10, 3}) == newton_schulz_flops({3, 10}));
}

TEST_CASE("Q, K, V, output, gate, up and down of every block are matrices, and nothing else") {
  const auto model = with_options(small_model("GL"),
                                  GENERATE(ModelOptions::none, ModelOptions::projections_normed));
  const auto matrices = hidden_matrices(unit_specs(model));
  REQUIRE(matrices.size() == 14);
  std::int64_t elements = 0;
  for (const auto& [rows, columns] : matrices) elements += rows * columns;
  // Width 24, queries 24, keys and values 12, feed-forward 40.
  REQUIRE(elements == 2 * (2 * 24 * 24 + 2 * 12 * 24 + 3 * 40 * 24));
  REQUIRE(matrices[1].rows == 12);
  REQUIRE(matrices[6].rows == 24);
  REQUIRE(matrices[6].columns == 40);
}

TEST_CASE("owners share the work, each matrix with the rank that has least") {
  const auto matrices = hidden_matrices(unit_specs(llama_7b(4)));
  for (const int ranks : {1, 3, 8, 1000}) {
    std::vector<double> loads(static_cast<std::size_t>(ranks));
    const auto owners = matrix_owners(matrices, ranks);
    double most = 0, total = 0;
    for (std::size_t i = 0; i < matrices.size(); ++i) {
      const double cost = newton_schulz_flops(matrices[i]);
      loads.at(static_cast<std::size_t>(owners[i])) += cost;
      most = std::max(most, cost);
      total += cost;
    }
    const auto busiest = *std::ranges::max_element(loads);
    REQUIRE(busiest == busiest_newton_schulz_flops(matrices, ranks));
    REQUIRE(busiest <= total / ranks + most);
    REQUIRE(busiest >= most);
  }
}

TEST_CASE("momentum takes half of what moments take, and updates travel twice") {
  const auto model = small_model("GL");
  ParallelSection parallel;
  parallel.sharding = Sharding::full;
  const std::int64_t ranks = GENERATE(1, 4);
  const auto adamw = shard_model(model, Precision::bf16, parallel, ranks);
  const auto muon = shard_model(model, Precision::bf16, parallel, ranks, OptimizerType::muon);
  const std::int64_t matrix_elements = 2 * (2 * 24 * 24 + 2 * 12 * 24 + 3 * 40 * 24);
  const auto saved = memory_per_rank(adamw).moments - memory_per_rank(muon).moments;
  if (ranks == 1) {
    REQUIRE(saved == 4 * matrix_elements);
    REQUIRE(update_bytes(muon) == 0.0);
  } else {
    // The last rank's shard ends with norms and padding.
    REQUIRE(saved <= matrix_elements);
    REQUIRE(saved > 0);
    REQUIRE(update_bytes(muon) ==
            Approx(2.0 * 2.0 * static_cast<double>(matrix_elements) / 4 * 3 / 4));
  }
  REQUIRE(update_bytes(adamw) == 0.0);
  REQUIRE(memory_per_rank(adamw).moments == 8 * adamw.elements() / ranks);
}

}  // namespace
}  // namespace zebra
