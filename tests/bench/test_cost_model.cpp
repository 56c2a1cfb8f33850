#include "bench/cost_model.h"

#include "support/catch.h"

namespace zebra {
namespace {

// Per token and layer: projections 2 * 4 * (8 + 4) = 96 FLOPs, feed-forward 6 * 4 * 6 = 144. Head
// 2 * 4 * 10 = 80. Attention of 4 tokens, 4 * 4 FLOPs a key: 2.5 keys in a global layer, (1 + 2 + 2
// + 2) / 4 in a local one, so 40 and 28. Parameters: embedding and head 40 each, attention 2 * 48,
// feed-forward 2 * 72, norms 5 * 4: 340.
ModelConfig hand_sized_model(const std::string& pattern) {
  ModelConfig model;
  model.hidden_size = 4;
  model.intermediate_size = 6;
  model.num_attention_heads = 2;
  model.num_key_value_heads = 1;
  model.head_dim = 2;
  model.vocab_size = 10;
  model.window_size = 1;
  model.layers = layers_of_pattern(pattern);
  return model;
}

Rates hand_sized_rates() {
  Rates rates;
  rates.matrix_products = {240.0, 480.0};
  rates.global_attention = {40.0, 20.0};
  rates.local_attention = {14.0, 7.0};
  rates.head = 120.0;
  rates.ends_backward = 0.5;
  rates.layer_passes = {0.25, 0.75, 0.125};
  rates.optimizer = 0.01;
  rates.layer_call = 0.5;
  rates.token_call = 0.25;
  rates.cached_keys = {1, 2, 6};
  rates.token_reads = {1.0, 3.0, 7.0};
  return rates;
}

TEST_CASE("predicted seconds are FLOPs over rates, and bytes over rates") {
  const Workload work = {.length = 4, .batch = 3, .generated_tokens = 5, .bytes_per_value = 2};
  const auto seconds = predicted_seconds(hand_sized_model("GL"), work, hand_sized_rates());
  // 12 tokens of (480 / 240 + 40 / 40 + 28 / 14) + 2 * 0.25 + 3 * 80 / 120.
  REQUIRE(seconds.forward == Approx(90.0));
  // 12 tokens of 2 * (480 / 480 + 40 / 20 + 28 / 7) + 2 * 0.75 + 0.5.
  REQUIRE(seconds.backward == Approx(192.0));
  REQUIRE(seconds.optimizer == Approx(3.4));
  REQUIRE(seconds.training() == Approx(285.4));
  // One sequence, whatever the batch: 4 tokens of 5 + 2 * 0.125.
  REQUIRE(seconds.prefill == Approx(21.0));
  // Two layers, the token itself, and each layer's half of what is read: 4 + 5 / 2 cached tokens in
  // the global one, 2 in the local one.
  REQUIRE(seconds.per_token == Approx(1.0 + 0.25 + 7.0 / 2.0 + 3.0 / 2.0));
}

TEST_CASE("a kind of layer that a layout does not have needs no rate") {
  auto rates = hand_sized_rates();
  rates.global_attention = {};
  const Workload work = {.length = 4, .batch = 1, .generated_tokens = 2, .bytes_per_value = 4};
  const auto seconds = predicted_seconds(hand_sized_model("LL"), work, rates);
  // 4 tokens of 480 / 240 + 2 * 28 / 14 + 2 * 0.25 + 2.
  REQUIRE(seconds.forward == Approx(34.0));
  REQUIRE(seconds.backward == Approx(4.0 * (2.0 * (1.0 + 8.0) + 1.5 + 0.5)));
}

TEST_CASE("the time of reading is linear between the measured numbers of keys and beyond") {
  const auto rates = hand_sized_rates();
  REQUIRE(token_read_seconds(rates, 1) == Approx(1.0));
  REQUIRE(token_read_seconds(rates, 2) == Approx(3.0));
  REQUIRE(token_read_seconds(rates, 3) == Approx(4.0));
  REQUIRE(token_read_seconds(rates, 6) == Approx(7.0));
  REQUIRE(token_read_seconds(rates, 10) == Approx(11.0));

  auto two = rates;
  two.cached_keys = {1, 5};
  two.token_reads = {1.0, 2.0};
  REQUIRE(token_read_seconds(two, 3) == Approx(1.5));
  REQUIRE(token_read_seconds(two, 9) == Approx(3.0));

  auto one = rates;
  one.cached_keys = {1};
  one.token_reads = {1.25};
  REQUIRE(token_read_seconds(one, 1) == 1.25);
}

ReferenceSeconds hand_sized_seconds() {
  ReferenceSeconds seconds;
  seconds.layer_products = {12.0, 6.0};
  seconds.global_attention = {2.0, 3.0};
  seconds.local_attention = {4.0, 7.0};
  seconds.block = {22.0, 16.0};
  seconds.block_prefill = 17.2;
  seconds.ends = {24.0, 6.0};
  seconds.optimizer_update = 0.5 * 16777216.0;
  seconds.layer_token = 5.0;
  seconds.layer_token_reads = 3.0;
  seconds.ends_token = 3.5;
  seconds.ends_token_head = 1.0;
  seconds.token_reads = {0.28, 2.0};
  return seconds;
}

TEST_CASE("rates are FLOPs over the seconds of the parts") {
  const ReferenceWork work = {hand_sized_model("LL"), true, true, 4, 3, {1, 2}, 4};
  const auto rates = rates_of(work, hand_sized_seconds());
  REQUIRE(rates.matrix_products.forward == Approx(12.0 * 240.0 / 12.0));
  REQUIRE(rates.matrix_products.backward == Approx(2.0 * 12.0 * 240.0 / 6.0));
  REQUIRE(rates.global_attention.forward == Approx(12.0 * 40.0 / 2.0));
  REQUIRE(rates.global_attention.backward == Approx(2.0 * 12.0 * 40.0 / 3.0));
  REQUIRE(rates.local_attention.forward == Approx(12.0 * 28.0 / 4.0));
  REQUIRE(rates.local_attention.backward == Approx(2.0 * 12.0 * 28.0 / 7.0));
  REQUIRE(rates.head == Approx(12.0 * 3.0 * 80.0 / 24.0));
  REQUIRE(rates.ends_backward == Approx(0.5));
  // A block beyond its products and its local attention.
  REQUIRE(rates.layer_passes.forward == Approx((22.0 - 12.0 - 4.0) / 12.0));
  REQUIRE(rates.layer_passes.backward == Approx((16.0 - 6.0 - 7.0) / 12.0));
  REQUIRE(rates.layer_passes.prefill == Approx((17.2 - 12.0 - 4.0) / 12.0));
  REQUIRE(rates.optimizer == Approx(0.5));
  REQUIRE(rates.weights_read == Approx(280.0 * 4.0 / 0.28));
  REQUIRE(rates.layer_call == Approx(2.0));
  REQUIRE(rates.token_call == Approx(2.5));
  REQUIRE(rates.cached_keys == work.cached_keys);
  REQUIRE(rates.token_reads == std::vector<double>{0.28, 2.0});
}

TEST_CASE("a tied head is read for each generated token like any other, but has no parameters") {
  auto tied = hand_sized_model("LL");
  tied.tie_word_embeddings = true;
  const auto rates = rates_of({tied, true, true, 4, 3, {1, 2}, 4}, hand_sized_seconds());
  REQUIRE(rates.weights_read == Approx(280.0 * 4.0 / 0.28));
  const Workload work = {.length = 4, .batch = 1, .generated_tokens = 2, .bytes_per_value = 4};
  REQUIRE(predicted_seconds(tied, work, hand_sized_rates()).optimizer == Approx(3.0));
}

TEST_CASE("the passes of a global block are what it takes beyond its global attention") {
  const ReferenceWork work = {hand_sized_model("GG"), true, true, 4, 3, {1, 2}, 4};
  const auto rates = rates_of(work, hand_sized_seconds());
  REQUIRE(rates.layer_passes.forward == Approx((22.0 - 12.0 - 2.0) / 12.0));
  REQUIRE(rates.layer_passes.backward == Approx((16.0 - 6.0 - 3.0) / 12.0));
}

TEST_CASE("noise makes no negative rates, and what was not measured is 0") {
  auto seconds = hand_sized_seconds();
  seconds.global_attention = {};
  seconds.block = {15.0, 12.0};
  seconds.block_prefill = 15.0;
  seconds.layer_token = 2.5;
  seconds.ends_token = 0.5;
  const auto rates = rates_of({hand_sized_model("LL"), false, true, 4, 3, {1, 2}, 4}, seconds);
  REQUIRE(rates.global_attention.forward == 0.0);
  REQUIRE(rates.global_attention.backward == 0.0);
  REQUIRE(rates.layer_passes.forward == 0.0);
  REQUIRE(rates.layer_passes.backward == 0.0);
  REQUIRE(rates.layer_passes.prefill == 0.0);
  REQUIRE(rates.layer_call == 0.0);
  REQUIRE(rates.token_call == 0.0);
}

TEST_CASE("every figure of the reference takes part in its median") {
  auto seconds = hand_sized_seconds();
  seconds.optimizer_update = 0.5;
  double sum = 0;
  for (const auto* figure : seconds.figures()) sum += *figure;
  REQUIRE(sum ==
          Approx(18.0 + 5.0 + 11.0 + 38.0 + 17.2 + 30.0 + 0.5 + 5.0 + 3.0 + 3.5 + 1.0 + 2.28));
}

}  // namespace
}  // namespace zebra
