#include "ops/packed_documents.h"

#include <algorithm>

namespace zebra {

PackedDocuments PackedDocuments::from_starts(const std::vector<std::vector<std::int64_t>>& starts,
                                             std::int64_t sequence_length) {
  PackedDocuments documents;
  const auto batch = static_cast<std::int64_t>(starts.size());
  documents.first_token = torch::empty({batch, sequence_length}, torch::kInt64);
  auto* first_token = documents.first_token.mutable_data_ptr<std::int64_t>();
  for (std::size_t row = 0; row < starts.size(); ++row) {
    std::int64_t begin = 0;
    for (std::size_t i = 0; i <= starts[row].size(); ++i) {
      const std::int64_t end = i < starts[row].size() ? starts[row][i] : sequence_length;
      TORCH_CHECK(end > begin && end <= sequence_length,
                  "document starts must ascend within the sequence");
      std::fill(first_token + begin, first_token + end, begin);
      documents.lengths.push_back(end - begin);
      begin = end;
    }
    first_token += sequence_length;
  }
  return documents;
}

PackedDocuments PackedDocuments::to(torch::Device device) const {
  PackedDocuments moved = *this;
  if (is_packed()) moved.first_token = first_token.to(device, /*non_blocking=*/true);
  return moved;
}

}  // namespace zebra
