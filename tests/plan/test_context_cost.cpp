#include "plan/context_cost.h"

#include "base/error.h"
#include "plan/plan.h"
#include "plan/sharding_cost.h"
#include "support/catch.h"
#include "support/models.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// 8 key heads of 128, windows of 512, a third of the layers global.
Config long_run(std::int64_t context, std::int64_t length = 131072) {
  Config config;
  config.model = llama_7b(3);
  config.model.num_key_value_heads = 8;
  config.data.sequence_length = length;
  config.train.precision = Precision::bf16;
  config.train.global_batch_size = config.train.micro_batch_size = 1;
  config.train.max_steps = 10;
  config.parallel.context = context;
  return config;
}

constexpr double kMebibyte = 1048576.0;

TEST_CASE("a local layer sends its window whatever the length, a global one all others' keys") {
  // 512 tokens x 8 heads x 128 x 2 (keys, values) x 2 bytes = 2 MiB a message.
  for (const std::int64_t length : {131072, 1048576}) {
    const auto pair = context_exchange(long_run(2, length), LayerKind::local);
    REQUIRE(pair.forward == 2 * kMebibyte);
    REQUIRE(pair.backward == 2 * kMebibyte);
    const auto many = context_exchange(long_run(64, length), LayerKind::local);
    REQUIRE(many.forward == 4 * kMebibyte);
  }
  // 131,072 tokens x 4 KiB = 512 MiB, of which a rank of eight sends its eighth to seven others.
  const auto global = context_exchange(long_run(8), LayerKind::global);
  REQUIRE(global.forward == 7 * 64 * kMebibyte);
  REQUIRE(global.backward == 2 * global.forward);
  REQUIRE(context_exchange(long_run(1), LayerKind::local).total() == 0.0);
  REQUIRE(context_exchange(long_run(1), LayerKind::global).total() == 0.0);
}

TEST_CASE("what is computed again exchanges its keys again, but with selective") {
  auto config = long_run(4);
  const auto local = context_exchange(config, LayerKind::local),
             global = context_exchange(config, LayerKind::global);
  const auto plain = context_traffic(config);
  REQUIRE(plain.global_layers == 11 * global.total());
  REQUIRE(plain.local_layers == 21 * local.total());
  REQUIRE(plain.gathered_everywhere == 32 * global.total());
  config.train.activation_checkpointing = ActivationCheckpointing::selective;
  REQUIRE(context_traffic(config).total() == plain.total());
  config.train.activation_checkpointing = ActivationCheckpointing::full;
  REQUIRE(context_traffic(config).local_layers == plain.local_layers + 21 * local.forward);
  REQUIRE(context_traffic(config).global_layers == plain.global_layers + 11 * global.forward);
}

TEST_CASE("activations that a rank keeps fall with the ranks that share a sequence") {
  const auto two = activation_bytes(long_run(2)), eight = activation_bytes(long_run(8));
  REQUIRE(two.blocks == 4 * eight.blocks);
  // Gathered keys do not: four copies of 512 MiB.
  REQUIRE(gathered_bytes(long_run(8)) == static_cast<std::int64_t>(4 * 512 * kMebibyte));
  REQUIRE(gathered_bytes(long_run(1)) == 0);
  auto local = long_run(8);
  local.model.layers = layers_of_pattern(std::string(32, 'L'));
  REQUIRE(gathered_bytes(local) == 0);
}

TEST_CASE("a step shared by N ranks computes an N-th of the time, and waits for keys") {
  const Hardware hardware = {{find_gpu("h100"), network_bytes_per_second("400gb"), 8}, 0.4};
  const auto alone = make_plan(long_run(1), 1, hardware),
             shared = make_plan(long_run(8), 8, hardware);
  REQUIRE(shared.micro_batches == 1);
  const auto& time = shared.time->step;
  REQUIRE(time.compute == Approx(alone.time->step.compute / 8));
  REQUIRE(time.context == Approx(shared.context.total() / 450e9));
  REQUIRE(time.step() >= time.compute + time.context);
  REQUIRE(alone.time->step.context == 0.0);
}

TEST_CASE("ranks that parallel.context does not divide are refused") {
  ParallelSection parallel;
  parallel.context = 4;
  REQUIRE(context_ranks(parallel, 8) == 4);
  REQUIRE_THROWS_WITH(context_ranks(parallel, 6),
                      Catch::Matchers::Contains("parallel.context: 4 does not divide") &&
                          Catch::Matchers::Contains("6"));
}

}  // namespace
}  // namespace zebra
