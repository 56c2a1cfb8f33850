#pragma once

#include <cstdint>
#include <vector>

#include "model/unit_spec.h"

// What Muon adds to a step: the orthogonalization of every matrix inside the blocks, each by one
// rank that has the whole of it for a while.

namespace zebra {

struct MatrixShape {
  std::int64_t rows, columns;
};

/// The matrices that Muon updates, in the order of their units and of the flat buffers: Q, K, V,
/// gate and up each by itself.
std::vector<MatrixShape> hidden_matrices(const std::vector<UnitSpec>& units);

/// Of five steps of Newton-Schulz: 5 (4 r^2 c + 2 r^3), r being the shorter side.
double newton_schulz_flops(const MatrixShape& matrix);

/// The rank that orthogonalizes each matrix: the costliest first, each to the rank that has least
/// to do so far (ties: to the lowest).
std::vector<int> matrix_owners(const std::vector<MatrixShape>& matrices, int ranks);

/// Of the rank that has most to do in a step.
double busiest_newton_schulz_flops(const std::vector<MatrixShape>& matrices, int ranks);

}  // namespace zebra
