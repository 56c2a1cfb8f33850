#include "ops/matrix_product.h"

#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct Factors {
  torch::Tensor a, b;  // [m, k], [k, n]
};

// Sizes beyond a block of widened copies, and strides as a backward pass has them.
Factors make(torch::ScalarType type, bool transposed) {
  torch::manual_seed(2);
  if (transposed) return {torch::randn({701, 90}).t().to(type), torch::randn({701, 33}).to(type)};
  return {torch::randn({1500, 701}).to(type), torch::randn({33, 701}).to(type).t()};
}

TEST_CASE("matrix products are as exact as LibTorch's") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16, torch::kFloat64);
  const auto [a, b] = make(type, GENERATE(false, true));
  const auto exact = torch::mm(a.to(torch::kFloat64), b.to(torch::kFloat64));
  const auto naive = torch::mm(a, b);
  require_as_exact_as_naive(matrix_product(a, b), naive, exact);

  auto out = torch::full({a.size(0), b.size(1)}, std::nan(""), a.options());
  matrix_product_out(out, a, b);
  require_as_exact_as_naive(out, naive, exact);
}

TEST_CASE("products are added to a float32 sum") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const auto [a, b] = make(type, GENERATE(false, true));
  auto sum = torch::full({a.size(0), b.size(1)}, 2.0);
  add_matrix_product(sum, a, b);
  const auto exact = torch::mm(a.to(torch::kFloat64), b.to(torch::kFloat64)) + 2.0;
  // The product may be rounded to its type before it is added.
  require_as_exact_as_naive(sum, torch::mm(a, b).to(torch::kFloat32) + 2.0, exact);
}

TEST_CASE("the same product gives the same bits") {
  const auto [a, b] = make(torch::kBFloat16, false);
  REQUIRE(same_bits(matrix_product(a, b), matrix_product(a, b)));
}

}  // namespace
}  // namespace zebra
