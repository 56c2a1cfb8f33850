#include "ops/packed_documents.h"

#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("first tokens and lengths from document starts") {
  const auto documents = PackedDocuments::from_starts({{2, 3}, {}, {4}}, 5);
  REQUIRE(documents.is_packed());
  const auto expected =
      torch::tensor({{0, 0, 2, 3, 3}, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 4}}, torch::kInt64);
  REQUIRE(same_bits(documents.first_token, expected));
  REQUIRE(documents.lengths == std::vector<std::int64_t>{2, 1, 2, 5, 4, 1});
}

TEST_CASE("starts that do not ascend within the sequence are refused") {
  REQUIRE_THROWS_AS(PackedDocuments::from_starts({{3, 3}}, 5), c10::Error);
  REQUIRE_THROWS_AS(PackedDocuments::from_starts({{0}}, 5), c10::Error);
  REQUIRE_THROWS_AS(PackedDocuments::from_starts({{5}}, 5), c10::Error);
}

}  // namespace
}  // namespace zebra
