#include "model/sequence_context.h"

#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

ModelConfig with_scaling(RopeScaling type, double factor, std::int64_t original) {
  auto model = small_model();
  model.head_dim = 64;
  model.rope_scaling.type = type;
  model.rope_scaling.factor = factor;
  model.rope_scaling.original_max_position_embeddings = original;
  return model;
}

std::vector<double> frequencies(const ModelConfig& model, std::int64_t longest,
                                LayerKind kind = LayerKind::global) {
  return rotary_frequencies(model, kind, longest).radians_per_token;
}

TEST_CASE("plain frequencies fall geometrically from 1") {
  const auto plain = frequencies(with_scaling(RopeScaling::none, 1, 1), 100);
  REQUIRE(plain.size() == 32);
  REQUIRE(plain[0] == 1.0);
  REQUIRE(plain[16] == Approx(0.01));  // 10000^(-1/2)
  REQUIRE(plain[8] / plain[7] == Approx(plain[24] / plain[23]));
}

TEST_CASE("scaling of global layers leaves local ones as they are") {
  const auto type =
      GENERATE(RopeScaling::linear, RopeScaling::dynamic, RopeScaling::yarn, RopeScaling::llama3);
  auto model = with_scaling(type, 4, 16);
  const auto everywhere = rotary_frequencies(model, LayerKind::global, 100);
  const auto plain =
      rotary_frequencies(with_scaling(RopeScaling::none, 1, 1), LayerKind::local, 100);
  REQUIRE(rotary_frequencies(model, LayerKind::local, 100) == everywhere);
  REQUIRE_FALSE(everywhere == plain);
  model.rope_scaling.layers = ScaledLayers::global;
  REQUIRE(rotary_frequencies(model, LayerKind::global, 100) == everywhere);
  REQUIRE(rotary_frequencies(model, LayerKind::local, 100) == plain);
}

TEST_CASE("linear scaling stretches positions") {
  const auto plain = frequencies(with_scaling(RopeScaling::none, 1, 1), 100);
  const auto linear = frequencies(with_scaling(RopeScaling::linear, 4, 1), 100);
  for (std::size_t j = 0; j < plain.size(); ++j) REQUIRE(linear[j] == Approx(plain[j] / 4));
}

TEST_CASE(
    "dynamic NTK is plain up to the original length and stretches the slowest pair by the rest") {
  const auto plain = frequencies(with_scaling(RopeScaling::none, 1, 1), 100);
  const auto model = with_scaling(RopeScaling::dynamic, 1, 128);
  REQUIRE(frequencies(model, 128)[31] == Approx(plain[31]));
  REQUIRE(frequencies(model, 7)[31] == Approx(plain[31]));
  const auto doubled = frequencies(model, 256);
  REQUIRE(doubled[0] == 1.0);
  REQUIRE(doubled[31] == Approx(plain[31] / 2));  // pair D/2 - 1: stretched by exactly 256 / 128
}

TEST_CASE("YaRN keeps fast pairs, interpolates slow ones, and sharpens attention") {
  const auto plain = frequencies(with_scaling(RopeScaling::none, 1, 1), 100);
  const auto model = with_scaling(RopeScaling::yarn, 8, 2048);
  const auto yarn = frequencies(model, 100);
  const double pi = 3.14159265358979;
  for (std::size_t j = 0; j < plain.size(); ++j) {
    const double turns = 2048 * plain[j] / (2 * pi);
    if (turns > 2 * 32) REQUIRE(yarn[j] == Approx(plain[j]));
    if (turns < 0.5) REQUIRE(yarn[j] == Approx(plain[j] / 8));
    REQUIRE(yarn[j] <= plain[j] * (1 + 1e-12));
    REQUIRE(yarn[j] >= plain[j] / 8 * (1 - 1e-12));
  }
  REQUIRE(rotary_frequencies(model, LayerKind::global, 100).amplitude ==
          Approx(0.1 * std::log(8.0) + 1));
}

TEST_CASE("llama3 scaling keeps fast pairs, interpolates slow ones, and blends those between") {
  const auto plain = frequencies(with_scaling(RopeScaling::none, 1, 1), 100);
  auto model = with_scaling(RopeScaling::llama3, 8, 2048);
  model.rope_scaling.low_freq_factor = 2.0;
  model.rope_scaling.high_freq_factor = 6.0;
  const auto llama3 = frequencies(model, 100);
  const double pi = 3.14159265358979;
  int kept = 0, divided = 0, between = 0;
  for (std::size_t j = 0; j < plain.size(); ++j) {
    INFO(j);
    const double turns = 2048 * plain[j] / (2 * pi);
    if (turns >= 6) {
      ++kept;
      REQUIRE(llama3[j] == plain[j]);
    } else if (turns <= 2) {
      ++divided;
      REQUIRE(llama3[j] == Approx(plain[j] / 8));
    } else {
      ++between;
      const double share = (turns - 2) / (6 - 2);  // of the frequency that is kept
      REQUIRE(llama3[j] == Approx((1 - share) * plain[j] / 8 + share * plain[j]));
    }
  }
  REQUIRE(kept > 0);
  REQUIRE(divided > 0);
  REQUIRE(between > 0);
  REQUIRE(rotary_frequencies(model, LayerKind::global, 100).amplitude == 1.0);
}

TEST_CASE("each kind of layer may have its own theta, or none") {
  auto model = with_scaling(RopeScaling::none, 1, 1);
  model.global_rope_theta = 0.0;
  model.local_rope_theta = 500.0;
  REQUIRE(frequencies(model, 10).empty());
  REQUIRE_FALSE(
      rotary_factors(rotary_frequencies(model, LayerKind::global, 10), torch::arange(3)).defined());
  REQUIRE(frequencies(model, 10, LayerKind::local)[16] == Approx(1 / std::sqrt(500.0)));
}

TEST_CASE("factors are cosines and sines of position times frequency") {
  const auto model = with_scaling(RopeScaling::none, 1, 1);
  const auto positions = torch::tensor({{0, 7}, {1, 40000}}, torch::kInt64);
  const auto factors = rotary_factors(rotary_frequencies(model, LayerKind::local, 1), positions);
  REQUIRE(factors.cos.sizes() == std::vector<std::int64_t>{2, 2, 32});
  REQUIRE(factors.cos[1][1][16].item<float>() == Approx(std::cos(400.0)).margin(1e-6));
  REQUIRE(factors.sin[0][1][0].item<float>() == Approx(std::sin(7.0)));
}

// The angles of each token, from its position alone.
void require_factors_of(const RotaryFactors& factors, const RotaryFrequencies& frequencies,
                        const torch::Tensor& positions) {
  const auto direct = rotary_factors(frequencies, positions);
  REQUIRE(same_bits(factors.cos, direct.cos));
  REQUIRE(same_bits(factors.sin, direct.sin));
}

TEST_CASE("rows of a table are the bits of their own positions") {
  auto model = with_scaling(GENERATE(RopeScaling::none, RopeScaling::dynamic), 2, 16);
  if (GENERATE(false, true)) model.local_rope_theta = 500.0;
  RotaryTables tables(model);
  const auto documents = PackedDocuments::from_starts({{3, 20}, {}}, 37);
  const auto check = [&](std::int64_t length, const PackedDocuments& packed, std::int64_t first,
                         std::int64_t longest) {
    const auto context = make_sequence_context(tables, length, torch::kCPU, packed, first, longest);
    auto positions = torch::arange(first, first + length, torch::kInt64);
    if (packed.is_packed()) positions = positions.unsqueeze(0) - packed.first_token;
    const auto reach = longest == 0 ? first + length : longest;
    require_factors_of(context.global, rotary_frequencies(model, LayerKind::global, reach),
                       positions);
    require_factors_of(context.local, rotary_frequencies(model, LayerKind::local, reach),
                       positions);
    REQUIRE(context.window == model.window_size);
  };
  check(37, {}, 0, 0);
  check(37, documents, 0, 0);
  check(11, {}, 0, 0);   // shorter
  check(50, {}, 0, 0);   // longer
  check(1, {}, 40, 64);  // a token of a text that is to become longer still
  check(37, documents, 0, 0);
}

TEST_CASE("a table is made once") {
  RotaryTables tables(with_scaling(RopeScaling::none, 1, 1));
  const auto table = [&](std::int64_t length) {
    return tables.of(LayerKind::global, length, length, torch::kCPU).cos.const_data_ptr();
  };
  const auto* first = table(100);
  REQUIRE(table(100) == first);
  REQUIRE(table(7) == first);
  const auto documents = PackedDocuments::from_starts({{3}}, 100);
  make_sequence_context(tables, 100, torch::kCPU, documents);
  REQUIRE(table(100) == first);
  REQUIRE(table(101) != first);
}

TEST_CASE("tables grow with the text, not to the longest that it may become") {
  const auto scaling = GENERATE(RopeScaling::none, RopeScaling::dynamic);
  RotaryTables tables(with_scaling(scaling, 2, 16));
  constexpr std::int64_t kLongest = std::int64_t{1} << 40;
  int made = 0;
  const void* last = nullptr;
  for (std::int64_t length = 3; length < 500; ++length) {
    const auto cos = tables.of(LayerKind::global, length, kLongest, torch::kCPU).cos;
    REQUIRE(cos.size(0) >= length);
    REQUIRE(cos.size(0) < 2 * length);
    made += cos.const_data_ptr() != last ? 1 : 0;
    last = cos.const_data_ptr();
  }
  REQUIRE(made < 12);
}

TEST_CASE("contexts of rows are stacked as they are") {
  auto model = with_scaling(RopeScaling::none, 1, 1);
  const bool without_local = GENERATE(false, true);
  if (without_local) model.local_rope_theta = 0.0;
  const auto at = [&](std::int64_t position) {
    return make_sequence_context(model, 1, torch::kCPU, {}, position, 50);
  };
  const auto stacked = stack_contexts({at(7), at(0), at(31)});
  const auto positions = torch::tensor({7, 0, 31}, torch::kInt64).unsqueeze(1);
  require_factors_of(stacked.global, rotary_frequencies(model, LayerKind::global, 50), positions);
  REQUIRE(stacked.local.defined() != without_local);
  REQUIRE(stacked.window == model.window_size);
}

}  // namespace
}  // namespace zebra
