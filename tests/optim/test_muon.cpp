#include "optim/muon.h"

#include <cmath>
#include <limits>

#include "optim/muon_reference.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

torch::Tensor numbers(std::int64_t rows, std::int64_t columns, std::int64_t step) {
  const auto flat = torch::empty({rows * columns});
  for (std::int64_t i = 0; i < flat.numel(); ++i) flat[i] = muon_number(i, step);
  return flat;
}

MuonStep step_of(double gradient_scale, bool applies) {
  return {0.02, 0.1, 0.95,
          torch::tensor({static_cast<float>(gradient_scale), applies ? 1.0F : 0.0F})};
}

// One step for a whole matrix.
void take_step(const torch::Tensor& weights, const torch::Tensor& momentum,
               const torch::Tensor& gradients, const MuonReference& matrix, const MuonStep& step) {
  const auto direction = muon_direction(momentum, gradients, step);
  const auto update = orthogonalized(direction.view({matrix.rows, matrix.columns}));
  muon_update(weights, update.reshape({-1}), muon_scale(matrix.scale, matrix.rows, matrix.columns),
              step);
}

TEST_CASE("three steps are those of torch.optim.Muon to one unit of bfloat16 in the update") {
  for (const auto& matrix : kMuonReferences) {
    INFO(matrix.rows << " x " << matrix.columns);
    const auto weights = numbers(matrix.rows, matrix.columns, 9),
               momentum = torch::zeros_like(weights);
    for (std::int64_t step = 0; step < 3; ++step) {
      take_step(weights, momentum, numbers(matrix.rows, matrix.columns, step), matrix,
                step_of(1.0, true));
    }
    // An update's elements are below 1.25, where a unit is 2^-7.
    const double unit = 0.02 * muon_scale(matrix.scale, matrix.rows, matrix.columns) / 128;
    require_close(weights, torch::tensor(matrix.weights), 3 * unit);
  }
}

TEST_CASE("the orthogonalized matrix has the singular vectors of its origin, and values near 1") {
  torch::manual_seed(4);
  const auto [rows, columns] = GENERATE(std::pair(7, 31), std::pair(31, 7), std::pair(16, 16));
  const auto matrix = torch::randn({rows, columns}, torch::kFloat64);
  const auto result = orthogonalized(matrix.to(torch::kBFloat16)).to(torch::kFloat64);
  REQUIRE(result.sizes() == matrix.sizes());
  const auto [u, s, v] = at::linalg_svd(matrix, /*full_matrices=*/false);
  const auto values = u.t().mm(result).mm(v.t());
  const auto diagonal = values.diagonal();
  const auto rest = values - diagonal.diag();
  REQUIRE(rest.abs().max().item<double>() < 0.05);
  REQUIRE(diagonal.max().item<double>() < 1.3);
  if (rows != columns) REQUIRE(diagonal.min().item<double>() > 0.6);
}

TEST_CASE("a matrix of zeros stays one") {
  const auto zeros = torch::zeros({3, 5}, torch::kBFloat16);
  REQUIRE(same_bits(orthogonalized(zeros), zeros));
}

TEST_CASE("gradients are scaled, and a step that is not done changes nothing whatever they are") {
  const MuonReference matrix = {5, 7, MuonScale::match_rms_adamw, {}};
  const auto gradients = numbers(5, 7, 0);
  const auto weights = numbers(5, 7, 9), momentum = numbers(5, 7, 3) * 0.125;
  const auto before = weights.clone(), momentum_before = momentum.clone();
  const auto wrong = torch::full_like(gradients, std::numeric_limits<float>::quiet_NaN());
  take_step(weights, momentum, wrong, matrix, step_of(0.5, false));
  REQUIRE(same_bits(weights, before));
  REQUIRE(same_bits(momentum, momentum_before));

  take_step(weights, momentum, gradients, matrix, step_of(0.5, true));
  const auto other = before.clone(), other_momentum = momentum_before.clone();
  take_step(other, other_momentum, gradients * 0.5, matrix, step_of(1.0, true));
  REQUIRE(same_bits(weights, other));
  REQUIRE(same_bits(momentum, other_momentum));
  REQUIRE_FALSE(same_bits(weights, before));
}

TEST_CASE("momentum and weights are the same to the bit wherever the range is cut") {
  torch::manual_seed(5);
  const auto gradients = torch::randn({211}), momentum = torch::randn({211}),
             weights = torch::randn({211});
  const auto update = torch::randn({211}).to(torch::kBFloat16);
  const auto step = step_of(0.3, true);
  const auto whole_momentum = momentum.clone(), whole = weights.clone();
  const auto whole_direction = muon_direction(whole_momentum, gradients, step);
  muon_update(whole, update, 0.7, step);
  std::vector<torch::Tensor> directions;
  for (const auto& [begin, end] : {std::pair(0, 1), std::pair(1, 64), std::pair(64, 211)}) {
    const auto part = [&, begin = begin, size = end - begin](const torch::Tensor& flat) {
      return flat.narrow(0, begin, size);
    };
    directions.push_back(muon_direction(part(momentum), part(gradients), step));
    muon_update(part(weights), part(update), 0.7, step);
  }
  REQUIRE(same_bits(torch::cat(directions), whole_direction));
  REQUIRE(same_bits(momentum, whole_momentum));
  REQUIRE(same_bits(weights, whole));
}

TEST_CASE("the scales of a tall and of a wide matrix") {
  REQUIRE(muon_scale(MuonScale::original, 8, 2) == Approx(2.0));
  REQUIRE(muon_scale(MuonScale::original, 2, 8) == Approx(1.0));
  REQUIRE(muon_scale(MuonScale::spectral_unclamped, 2, 8) == Approx(0.5));
  REQUIRE(muon_scale(MuonScale::match_rms_adamw, 16, 4) == Approx(0.8));
  REQUIRE(muon_scale(MuonScale::match_rms_adamw, 4, 16) == Approx(0.8));
}

}  // namespace
}  // namespace zebra
