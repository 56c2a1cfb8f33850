#include "ops/attention.h"
#include "ops/torch_attention_kernels.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("our kernel and LibTorch's attend alike to cached keys") {
  torch::manual_seed(1);
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const std::int64_t keys = GENERATE(1, 65, 1500);
  // A cache with room for more keys, in which heads of keys lie side by side.
  const auto cached = [&] {
    return torch::randn({2, keys + 9, 2, 24}).to(type).narrow(1, 4, keys);
  };
  const auto q = torch::randn({2, 1, 6, 24}).to(type), k = cached(), v = cached();
  for (const auto& sink : {torch::Tensor(), torch::randn({6})}) {
    const auto exact = plain_cached_attention(q.to(torch::kFloat64), k.to(torch::kFloat64),
                                              v.to(torch::kFloat64), sink)
                           .to(torch::kFloat32);
    const auto found = cached_attention(q, k, v, sink);
    REQUIRE(found.scalar_type() == type);
    REQUIRE(found.sizes() == q.sizes());
    require_close(found.to(torch::kFloat32), exact, type == torch::kFloat32 ? 1e-6 : 4e-3);
  }
}

TEST_CASE("heads of any strides attend to cached keys") {
  torch::manual_seed(2);
  const auto q = torch::randn({1, 1, 24, 4}).transpose(2, 3),
             k = torch::randn({1, 24, 70, 2}).permute({0, 2, 3, 1}), v = torch::randn_like(k);
  require_close(cached_attention(q, k, v), plain_cached_attention(q, k, v), 1e-5);
}

TEST_CASE("a gradient is asked of LibTorch's operations") {
  const auto q = torch::randn({1, 1, 2, 8}).requires_grad_();
  const auto k = torch::randn({1, 5, 2, 8}), v = torch::randn({1, 5, 2, 8});
  cached_attention(q, k, v).sum().backward();
  REQUIRE(q.grad().isfinite().all().item<bool>());
}

TEST_CASE("cached keys that do not fit are refused") {
  const auto q = torch::randn({1, 1, 2, 8});
  REQUIRE_THROWS_AS(cached_attention(q, torch::randn({1, 5, 2, 6}), torch::randn({1, 5, 2, 6})),
                    c10::Error);
  REQUIRE_THROWS_AS(cached_attention(torch::randn({1, 2, 2, 8}), torch::randn({1, 5, 2, 8}),
                                     torch::randn({1, 5, 2, 8})),
                    c10::Error);
}

}  // namespace
}  // namespace zebra
