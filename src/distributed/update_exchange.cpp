#include "distributed/update_exchange.h"

#include <algorithm>
#include <numeric>

namespace zebra {
namespace {

std::int64_t sum(const std::vector<std::int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
}

torch::Tensor joined(const std::vector<torch::Tensor>& parts, const torch::TensorOptions& options) {
  return parts.empty() ? torch::empty({0}, options) : torch::cat(parts);
}

std::vector<MatrixShape> shapes_of(const std::vector<FlatMatrix>& matrices) {
  std::vector<MatrixShape> shapes;
  for (const auto& matrix : matrices) shapes.push_back(matrix.shape);
  return shapes;
}

}  // namespace

UpdateExchange::UpdateExchange(std::vector<FlatMatrix> matrices, Communicator& ranks)
    : matrices_(std::move(matrices)),
      ranks_(ranks),
      owned_by_(static_cast<std::size_t>(ranks.size())),
      at_home_(owned_by_.size()),
      with_owners_(owned_by_.size()) {
  const auto owners = matrix_owners(shapes_of(matrices_), ranks.size());
  for (std::size_t i = 0; i < matrices_.size(); ++i)
    owned_by_[static_cast<std::size_t>(owners[i])].push_back(i);
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    for (const auto i : owned_by_[r]) with_owners_[r] += piece(i, ranks.rank()).size;
    for (const auto i : owned_by_[static_cast<std::size_t>(ranks.rank())])
      at_home_[r] += piece(i, rank).size;
  }
}

UpdateExchange::Piece UpdateExchange::piece(std::size_t matrix, int rank) const {
  const auto& [shape, begin, shard_size] = matrices_[matrix];
  const auto numel = shape.rows * shape.columns;
  const auto from = std::clamp<std::int64_t>(rank * shard_size - begin, 0, numel),
             to = std::clamp<std::int64_t>((rank + 1) * shard_size - begin, 0, numel);
  return {from, to - from};
}

torch::Tensor UpdateExchange::exchanged(const torch::Tensor& sent,
                                        const std::vector<std::int64_t>& to,
                                        const std::vector<std::int64_t>& from,
                                        const std::string& what) {
  const auto received = torch::empty({sum(from)}, sent.options());
  ranks_.all_to_all(received.unsqueeze(1), sent.unsqueeze(1), to, from, what).wait();
  return received;
}

// A message holds, for one owner, the pieces of its matrices in ascending order.

std::vector<torch::Tensor> UpdateExchange::to_owners(const std::vector<torch::Tensor>& pieces) {
  std::vector<torch::Tensor> sent;
  for (const auto& owned : owned_by_)
    for (const auto i : owned) sent.push_back(pieces[i]);
  const auto options = pieces.front().options();
  const auto received = exchanged(joined(sent, options), with_owners_, at_home_,
                                  "directions for the owners of matrices");

  const auto& own = owned_by_[static_cast<std::size_t>(ranks_.rank())];
  std::vector<std::vector<torch::Tensor>> parts(own.size());
  std::int64_t offset = 0;
  for (int rank = 0; rank < ranks_.size(); ++rank) {
    for (std::size_t k = 0; k < own.size(); ++k) {
      const auto size = piece(own[k], rank).size;
      parts[k].push_back(received.narrow(0, offset, size));
      offset += size;
    }
  }
  std::vector<torch::Tensor> whole;
  for (std::size_t k = 0; k < own.size(); ++k) {
    const auto& shape = matrices_[own[k]].shape;
    whole.push_back(torch::cat(parts[k]).view({shape.rows, shape.columns}));
  }
  return whole;
}

std::vector<torch::Tensor> UpdateExchange::from_owners(const std::vector<torch::Tensor>& owned,
                                                       const torch::TensorOptions& options) {
  const auto& own = owned_by_[static_cast<std::size_t>(ranks_.rank())];
  std::vector<torch::Tensor> sent;
  for (int rank = 0; rank < ranks_.size(); ++rank) {
    for (std::size_t k = 0; k < own.size(); ++k) {
      const auto [begin, size] = piece(own[k], rank);
      sent.push_back(owned[k].reshape({-1}).narrow(0, begin, size));
    }
  }
  const auto received = exchanged(joined(sent, options), at_home_, with_owners_,
                                  "updates from the owners of matrices");

  std::vector<torch::Tensor> pieces(matrices_.size());
  std::int64_t offset = 0;
  for (const auto& matrices : owned_by_) {
    for (const auto i : matrices) {
      const auto size = piece(i, ranks_.rank()).size;
      pieces[i] = received.narrow(0, offset, size);
      offset += size;
    }
  }
  return pieces;
}

}  // namespace zebra
