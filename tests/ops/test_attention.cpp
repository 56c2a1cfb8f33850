#include <torch/csrc/autograd/autograd.h>

#include "ops/attention.h"

#include "model/sequence_context.h"
#include "support/attention_gradients.h"
#include "support/attention_reference.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr std::int64_t kGlobal = -1;
constexpr double kTheta = 10000.0;

struct AttentionCase {
  std::int64_t batch, length, window, query_heads, key_heads, width;
  std::vector<std::vector<std::int64_t>>
      document_starts;  // one list per sequence; empty lists: not packed
};

RotaryFactors plain_rotary(const torch::Tensor& positions, std::int64_t width) {
  ModelConfig model;
  model.head_dim = width;
  model.rope_theta = kTheta;
  return rotary_factors(rotary_frequencies(model, LayerKind::global, 1), positions);
}

void check_attention(const AttentionCase& c, torch::ScalarType type) {
  INFO("B " << c.batch << " T " << c.length << " W " << c.window << " heads " << c.query_heads
            << ":" << c.key_heads << " D " << c.width << " packed " << !c.document_starts.empty()
            << " type " << type);
  torch::manual_seed(c.length * 31 + c.window);
  auto starts = c.document_starts;
  PackedDocuments documents;
  if (starts.empty()) {
    starts.resize(static_cast<std::size_t>(c.batch));
  } else {
    documents = PackedDocuments::from_starts(starts, c.length);
  }
  const auto positions = restarting_positions(c.length, starts);
  const auto visible = visible_keys(c.length, c.window, starts);
  const auto packed =
      torch::randn({c.batch, c.length, c.query_heads + 2 * c.key_heads, c.width}, type);
  const auto out_gradient = torch::randn({c.batch, c.length, c.query_heads, c.width}, type);
  const auto rotary = plain_rotary(c.document_starts.empty() ? positions[0] : positions, c.width);

  const auto naive = [&](const PackedHeads& heads) {
    return dense_attention(rotate_by_complex(heads.q(), positions, kTheta),
                           rotate_by_complex(heads.k(), positions, kTheta), heads.v(), visible);
  };
  const auto exact = attention_gradients(packed.to(torch::kFloat64), c.query_heads,
                                         out_gradient.to(torch::kFloat64), naive);
  const auto plain = attention_gradients(packed, c.query_heads, out_gradient, naive);
  const auto fused = [&](const PackedHeads& heads) {
    return c.window == kGlobal ? global_attention(heads, rotary, documents)
                               : local_attention(heads, c.window, rotary, documents);
  };
  const auto reference = [&](const PackedHeads& heads) {
    const auto q = heads.q(), k = heads.k(), v = heads.v();
    return c.window == kGlobal ? plain_global_attention(q, k, v, rotary, documents)
                               : plain_local_attention(q, k, v, c.window, rotary, documents);
  };
  const auto check_form = [&](const char* name, const auto& form) {
    INFO(name);
    const auto ours = attention_gradients(packed, c.query_heads, out_gradient, form);
    require_as_exact_as_naive(ours.out, plain.out, exact.out);
    require_as_exact_as_naive(ours.packed, plain.packed, exact.packed);
  };
  check_form("fused", fused);
  check_form("reference", reference);
}

TEST_CASE("attention equals the float64 definition at odd sizes") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const std::vector<std::int64_t> lengths = {1, 2, 17, 63, 64, 65, 127, 200};
  for (const auto length : lengths) {
    for (const std::int64_t window : {kGlobal, std::int64_t{0}, std::int64_t{1}, std::int64_t{15},
                                      std::int64_t{64}, length - 1, length, length + 7}) {
      check_attention({2, length, window, 4, 2, 16, {}}, type);
    }
  }
}

TEST_CASE("grouped, multi-query and plain heads") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  for (const std::int64_t window : {kGlobal, std::int64_t{20}}) {
    check_attention({1, 70, window, 8, 8, 8, {}}, type);
    check_attention({2, 70, window, 8, 2, 32, {}}, type);
    check_attention({1, 70, window, 8, 1, 6, {}}, type);
    check_attention({3, 33, window, 1, 1, 2, {}}, type);
  }
}

TEST_CASE("packed documents do not see each other") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  for (const std::int64_t window :
       {kGlobal, std::int64_t{0}, std::int64_t{5}, std::int64_t{32}, std::int64_t{200}}) {
    check_attention({2, 100, window, 4, 2, 16, {{1, 2, 3, 50, 99}, {}}}, type);
    check_attention({3, 65, window, 4, 4, 8, {{32}, {31, 33}, {64}}}, type);
    check_attention({1, 2, window, 2, 1, 8, {{1}}}, type);
  }
}

torch::Tensor attend(const PackedHeads& heads, std::int64_t window,
                     const PackedDocuments& documents = {}) {
  return window == kGlobal ? global_attention(heads, {}, documents)
                           : local_attention(heads, window, {}, documents);
}

TEST_CASE("a non-finite row reaches only tokens that see it") {
  const std::int64_t window = GENERATE(kGlobal, std::int64_t{3});
  const PackedHeads heads{torch::randn({2, 40, 6, 8}), 2};
  const auto before = attend(heads, window);
  heads.q()[1][20].fill_(std::numeric_limits<float>::quiet_NaN());
  const auto after = attend(heads, window);
  REQUIRE(same_bits(after[0], before[0]));
  REQUIRE(after[1].slice(0, 0, 20).isfinite().all().item<bool>());
  REQUIRE(after[1][20].isnan().all().item<bool>());
}

TEST_CASE("the same inputs give the same bits") {
  const std::int64_t window = GENERATE(kGlobal, std::int64_t{33});
  const PackedHeads heads{torch::randn({2, 130, 8, 16}), 4};
  REQUIRE(same_bits(attend(heads, window), attend(heads, window)));
}

TEST_CASE("attention gradients agree with finite differences") {
  torch::manual_seed(5);
  const auto documents = PackedDocuments::from_starts({{4, 11}}, 20);
  const std::int64_t window = GENERATE(kGlobal, std::int64_t{6});
  const auto weight = torch::randn({1, 20, 2, 8});
  require_directional_derivative(
      [&](const torch::Tensor& packed) {
        return (attend({packed, 2}, window, documents) * weight).sum();
      },
      torch::randn({1, 20, 4, 8}));
}

TEST_CASE("a new token against cached keys is the last row of causal attention") {
  const PackedHeads heads{torch::randn({2, 9, 8, 8}), 4};
  const auto last = cached_attention(heads.q().slice(1, 8), heads.k(), heads.v());
  require_close(last, attend(heads, kGlobal).slice(1, 8), 1e-5);
}

}  // namespace
}  // namespace zebra
