#include "bench/timed_model.h"

#include <ATen/Parallel.h>

#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

const DeviceMeter& cpu() {
  static const DeviceMeter meter(torch::kCPU);
  return meter;
}

TEST_CASE("a flat model computes what the model computes, in either precision") {
  const auto precision = GENERATE(Precision::fp32, Precision::bf16);
  const auto section = small_model();
  FlatModel flat(section, precision, torch::kCPU);
  ZebraModel plain(section);
  plain->initialize(1);
  if (precision == Precision::bf16) plain->to(torch::kBFloat16);
  const auto tokens = random_tokens(2, 11, section.vocab_size, "test");
  REQUIRE(same_bits(flat.model->forward(tokens), plain->forward(tokens)));
}

TEST_CASE("random tokens lie in the vocabulary and depend on their purpose alone") {
  const auto tokens = random_tokens(3, 500, 53, "test");
  REQUIRE(tokens.sizes() == at::IntArrayRef({3, 500}));
  REQUIRE(tokens.min().item<std::int64_t>() == 0);
  REQUIRE(tokens.max().item<std::int64_t>() == 52);
  REQUIRE(same_bits(tokens, random_tokens(3, 500, 53, "test")));
  REQUIRE_FALSE(same_bits(tokens, random_tokens(3, 500, 53, "another test")));
}

TEST_CASE("a timed step is a step: gradients of both passes, an update, gradients gone") {
  const auto section = small_model();
  const auto precision = GENERATE(Precision::fp32, Precision::bf16);
  FlatModel flat(section, precision, torch::kCPU);
  AdamW optimizer({}, flat.ranges);

  const auto passes = time_loss(flat.model, 2, 11, cpu());
  REQUIRE(passes.forward > 0.0);
  REQUIRE(passes.backward > 0.0);
  for (const auto& gradient : flat.gradients()) {
    REQUIRE(gradient.scalar_type() == torch::kFloat32);
    REQUIRE(gradient.abs().max().item<double>() > 0.0);
  }

  const auto before = flat.ranges.back().weights.clone();
  REQUIRE(time_update(optimizer, flat.gradients(), 1e-2, 1.0, cpu()) > 0.0);
  REQUIRE(largest_difference(before, flat.ranges.back().weights) > 1e-3);
  REQUIRE(optimizer.steps_taken() == 1);
  for (const auto& gradient : flat.gradients()) {
    REQUIRE(gradient.abs().max().item<double>() == 0.0);
  }
}

TEST_CASE("generation is timed behind a prompt longer than the window") {
  FlatModel flat(small_model("LG", 3), Precision::fp32, torch::kCPU);
  const auto seconds = time_generation(flat.model, 17, 4, cpu());
  REQUIRE(seconds.prefill > 0.0);
  REQUIRE(seconds.per_token > 0.0);
}

// Tiny tasks, on a machine that may be busy.
const DeviceMeter& one_thread() {
  at::set_num_threads(1);
  static const DeviceMeter meter(torch::kCPU);
  return meter;
}

ReferenceWork small_work(const std::string& pattern, bool has_global, bool has_local) {
  return {testing::small_model(pattern), has_global, has_local, 33, 2, {1, 6, 40}, 4};
}

TEST_CASE("every part of a reference is timed") {
  const auto precision = GENERATE(Precision::fp32, Precision::bf16);
  auto seconds = time_reference(small_work("LLL", true, true), precision, {}, one_thread());
  REQUIRE(seconds.token_reads.size() == 3);
  for (const auto* figure : seconds.figures()) REQUIRE(*figure > 0.0);
}

TEST_CASE("a kind of layer that no layout has is not timed") {
  const bool global = GENERATE(true, false);
  const auto seconds = time_reference(small_work(global ? "GG" : "LL", global, !global),
                                      Precision::fp32, {}, one_thread());
  REQUIRE((seconds.global_attention.forward > 0.0) == global);
  REQUIRE((seconds.global_attention.backward > 0.0) == global);
  REQUIRE((seconds.local_attention.forward > 0.0) == !global);
  REQUIRE((seconds.local_attention.backward > 0.0) == !global);
}

}  // namespace
}  // namespace zebra
