#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "distributed/communicator.h"
#include "plan/muon_cost.h"

namespace zebra {

/// A matrix in a flat buffer of which each rank has a shard: elements [begin, begin + rows x
/// columns) of it, the shards having `shard_size` each.
struct FlatMatrix {
  MatrixShape shape;
  std::int64_t begin, shard_size;
};

/// Brings the pieces of matrices that are split among ranks together on one rank each, and back.
/// What is computed of a whole matrix then does not depend on the number of ranks. All ranks make
/// the same calls in the same order.
class UpdateExchange {
 public:
  /// Owners are those of matrix_owners. `ranks` must outlive the exchange.
  UpdateExchange(std::vector<FlatMatrix> matrices, Communicator& ranks);

  /// Elements [begin, begin + size) of a matrix.
  struct Piece {
    std::int64_t begin, size;
  };

  const std::vector<FlatMatrix>& matrices() const { return matrices_; }
  /// What that rank has of it; of size 0 where it has nothing.
  Piece piece(std::size_t matrix, int rank) const;

  /// `pieces[i]` (1-D, all of one type) is this rank's piece of matrix i. Returns the matrices that
  /// this rank owns, whole, in ascending order.
  std::vector<torch::Tensor> to_owners(const std::vector<torch::Tensor>& pieces);

  /// The reverse: from the matrices that this rank owns to its pieces of all. `options` are those
  /// of the elements, which a rank without a matrix cannot know.
  std::vector<torch::Tensor> from_owners(const std::vector<torch::Tensor>& owned,
                                         const torch::TensorOptions& options);

 private:
  torch::Tensor exchanged(const torch::Tensor& sent, const std::vector<std::int64_t>& to,
                          const std::vector<std::int64_t>& from, const std::string& what);

  std::vector<FlatMatrix> matrices_;
  Communicator& ranks_;
  std::vector<std::vector<std::size_t>> owned_by_;   // matrices of each rank, ascending
  std::vector<std::int64_t> at_home_, with_owners_;  // elements for each rank, and for each owner
};

}  // namespace zebra
