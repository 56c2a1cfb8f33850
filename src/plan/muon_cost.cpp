#include "plan/muon_cost.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace zebra {
namespace {

constexpr double kNewtonSchulzSteps = 5.0;

struct Assignment {
  std::vector<int> owners;
  std::vector<double> loads;  // FLOPs of each rank
};

Assignment assign(const std::vector<MatrixShape>& matrices, int ranks) {
  std::vector<std::size_t> order(matrices.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>(),
                           [&](std::size_t i) { return newton_schulz_flops(matrices[i]); });
  Assignment assignment = {std::vector<int>(matrices.size()),
                           std::vector<double>(static_cast<std::size_t>(ranks))};
  for (const auto i : order) {
    const auto least = std::ranges::min_element(assignment.loads);
    *least += newton_schulz_flops(matrices[i]);
    assignment.owners[i] = static_cast<int>(least - assignment.loads.begin());
  }
  return assignment;
}

}  // namespace

std::vector<MatrixShape> hidden_matrices(const std::vector<UnitSpec>& units) {
  std::vector<MatrixShape> matrices;
  for (const auto& unit : units) {
    for (const auto& parameter : unit.parameters) {
      if (!parameter.is_hidden_matrix()) continue;
      for (const auto& part : parameter.parts)
        matrices.push_back({part.shape.at(0), part.shape.at(1)});
    }
  }
  return matrices;
}

double newton_schulz_flops(const MatrixShape& matrix) {
  const auto r = static_cast<double>(std::min(matrix.rows, matrix.columns)),
             c = static_cast<double>(std::max(matrix.rows, matrix.columns));
  return kNewtonSchulzSteps * (4.0 * r * r * c + 2.0 * r * r * r);
}

std::vector<int> matrix_owners(const std::vector<MatrixShape>& matrices, int ranks) {
  return assign(matrices, ranks).owners;
}

double busiest_newton_schulz_flops(const std::vector<MatrixShape>& matrices, int ranks) {
  return std::ranges::max(assign(matrices, ranks).loads);
}

}  // namespace zebra
