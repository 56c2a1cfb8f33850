#include "plan/step_time.h"

#include <algorithm>

#include "base/error.h"
#include "plan/model_cost.h"
#include "support/catch.h"
#include "support/models.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

TEST_CASE("a GPU is found by its name, in capitals or not") {
  REQUIRE(find_gpu("H100").name == "h100");
  REQUIRE(find_gpu("b200").bf16_flops == 2250e12);
  REQUIRE_THROWS_AS(find_gpu("h10"), InputError);
  REQUIRE_THROWS_WITH(find_gpu("h10"), Contains("'h10'"));
  for (const auto& gpu : gpus()) REQUIRE_THROWS_WITH(find_gpu("h10"), Contains(gpu.name));
}

TEST_CASE("the data sheets are in FLOPs and bytes per second, dense and in one direction") {
  const auto& h100 = find_gpu("h100");
  REQUIRE(h100.bf16_flops == 989e12);                // 1,979 with sparsity
  REQUIRE(h100.link_bytes_per_second == 900e9 / 2);  // both directions together
  REQUIRE(h100.memory_bytes == 80LL * 1024 * 1024 * 1024);
  for (const auto& gpu : gpus()) {
    REQUIRE(gpu.bf16_flops > 10 * gpu.fp32_flops);
    REQUIRE(gpu.link_bytes_per_second < 1e12);
  }
}

TEST_CASE("a network link is a rate or a generation of InfiniBand") {
  REQUIRE(network_bytes_per_second("400gb") == 50e9);
  REQUIRE(network_bytes_per_second("NDR") == 50e9);
  REQUIRE(network_bytes_per_second("12.5gb") == 12.5e9 / 8);
  for (const std::string bad : {"", "gb", "400", "-1gb", "0gb", "400gbit", "nangb", "infgb"}) {
    REQUIRE_THROWS_WITH(network_bytes_per_second(bad), Contains("400gb") && Contains("ndr"));
  }
}

Cluster cluster(double fast, double network, std::int64_t gpus_per_host) {
  Gpu gpu = find_gpu("h100");
  gpu.link_bytes_per_second = fast;
  return {gpu, network, gpus_per_host};
}

TEST_CASE("a ring within a host has the GPUs' links, one that leaves it the network's") {
  const auto machines = cluster(450, 50, 8);
  struct Case {
    Ring ring;
    bool crosses;
    double speed;
  };
  const Case c = GENERATE(Case{{0, 1, 1}, false, 450}, Case{{0, 1, 8}, false, 450},
                          Case{{8, 1, 8}, false, 450}, Case{{4, 1, 4}, false, 450},
                          Case{{0, 4, 2}, false, 450},  // two copies on one host
                          Case{{0, 1, 16}, true, 400},  // eight network links on each host
                          Case{{3, 8, 128}, true, 50},  // one GPU of each host
                          Case{{1, 4, 4}, true, 100},   // two GPUs of each of two hosts
                          Case{{0, 1, 12}, true, 200},  // four on the second host
                          Case{{6, 1, 3}, true, 50});   // one beyond the end of a host
  const auto speed = ring_speed(machines, c.ring);
  REQUIRE(speed.crosses_hosts == c.crosses);
  REQUIRE(speed.bytes_per_second == c.speed);
}

TEST_CASE("a ring over several hosts is not faster than the GPUs' links") {
  REQUIRE(ring_speed(cluster(300, 50, 8), {0, 1, 16}).bytes_per_second == 300);
}

Config config(Sharding sharding, std::int64_t ranks, std::int64_t micro_batches,
              std::int64_t replicas = 1) {
  Config config;
  config.model = small_model("GLL");
  config.data.sequence_length = 64;
  config.train.micro_batch_size = 2;
  config.train.global_batch_size = 2 * ranks * micro_batches;
  config.train.precision = Precision::bf16;
  config.parallel.sharding = sharding;
  config.parallel.replicas = sharding == Sharding::none ? 1 : replicas;
  return config;
}

ShardedModel sharded(const Config& config, std::int64_t ranks) {
  return shard_model(config.model, config.train.precision, config.parallel, ranks);
}

/// A GPU that computes 1e9 FLOPs per second at half of its peak.
Hardware hardware(double fast, double network, std::int64_t gpus_per_host = 8) {
  return {{{"", 2e9, 1e9, 0, fast}, network, gpus_per_host}, 0.5};
}

struct Stages {
  double global, local, head;  // seconds of a forward pass of a micro-batch
};

Stages seconds(const Config& config) {
  const double d = 24, f = 40, q = 24, kv = 12, V = 53, tokens = 2 * 64;
  const double matrices = 2 * (d * (q + 2 * kv) + q * d + 3 * d * f);
  const auto keys = [&](LayerKind kind) {
    return mean_visible_keys(kind, config.model.window_size, config.data.sequence_length);
  };
  return {tokens * (matrices + 4 * q * keys(LayerKind::global)) / 1e9,
          tokens * (matrices + 4 * q * keys(LayerKind::local)) / 1e9, tokens * 2 * d * V / 1e9};
}

TEST_CASE("one rank does nothing but compute, three times the forward pass") {
  auto alone = config(Sharding::full, 1, 5);
  const auto s = seconds(alone);
  const auto time = step_time(alone, sharded(alone, 1), hardware(1, 1));
  REQUIRE(time.compute == Approx(5 * 3 * (s.global + 2 * s.local + s.head)));
  REQUIRE(time.exposed() == 0.0);
  REQUIRE(time.fast_link + time.network == 0.0);
  alone.train.precision = Precision::fp32;  // at half the peak
  REQUIRE(step_time(alone, sharded(alone, 1), hardware(1, 1)).compute == Approx(2 * time.compute));
}

TEST_CASE("activation checkpointing computes blocks again in backward") {
  auto again = config(Sharding::none, 1, 1);
  const auto s = seconds(again);
  const auto compute = [&](ActivationCheckpointing mode) {
    again.train.activation_checkpointing = mode;
    return step_time(again, sharded(again, 1), hardware(1, 1)).compute;
  };
  const double base = compute(ActivationCheckpointing::none);
  REQUIRE(compute(ActivationCheckpointing::full) == Approx(base + s.global + 2 * s.local));
  REQUIRE(compute(ActivationCheckpointing::every_2) == Approx(base + s.global + s.local));
  REQUIRE(compute(ActivationCheckpointing::selective) < compute(ActivationCheckpointing::full));
}

TEST_CASE("full sharding waits where a collective is longer than the stage beside it") {
  const double rate = GENERATE(1e5, 1e6, 3e6, 1e7, 1e9);  // from never hidden to hidden
  const std::int64_t ranks = 4, micro_batches = 3;
  const auto run = config(Sharding::full, ranks, micro_batches);
  const auto model = sharded(run, ranks);
  const auto s = seconds(run);
  const auto wait = [](double communication, double compute) {
    return std::max(communication - compute, 0.0);
  };
  const auto gather = [&](std::size_t unit) { return gather_bytes(model, unit) / rate; };
  const auto scatter = [&](std::size_t unit) { return scatter_bytes(model, unit) / rate; };
  const double forward = gather(0) + gather(1)  // the embedding computes nothing
                         + wait(gather(2), s.global) + wait(gather(3), s.local) +
                         wait(gather(4), s.local);
  const double backward = wait(gather(3), 2 * s.head) + wait(gather(2) + scatter(4), 2 * s.local) +
                          wait(gather(1) + scatter(3), 2 * s.local) +
                          wait(scatter(2), 2 * s.global) + scatter(1) + scatter(0);
  const auto time = step_time(run, model, hardware(rate, 1));
  REQUIRE(time.in_passes == Approx(micro_batches * (forward + backward)));
  REQUIRE(time.after_last_pass == 0.0);
  REQUIRE(time.before_first_pass == 0.0);
  REQUIRE(time.step() == Approx(time.compute + time.in_passes));
  REQUIRE(time.network == 0.0);
  REQUIRE(time.fast_link == Approx(traffic_per_step(model, micro_batches).total() / rate));
  // Among the blocks the second and third compute least and communicate as much.
  REQUIRE(time.forward.compute == Approx(s.local));
  REQUIRE(time.backward.communication == Approx(gather(1) + scatter(3)));
}

TEST_CASE("without sharding gradients are added up behind the last backward pass") {
  const double rate = GENERATE(1e4, 1e6, 1e8);
  const std::int64_t ranks = 4, micro_batches = 3;
  const auto run = config(Sharding::none, ranks, micro_batches);
  const auto model = sharded(run, ranks);
  const auto s = seconds(run);
  // The head's gradients leave while the second block from the end computes, and so on.
  const double beside[] = {2 * s.local, 2 * s.global};
  double left = 0;
  for (std::size_t k = 0; k < model.units.size(); ++k) {
    left += all_reduce_bytes(model, model.units.size() - 1 - k) / rate;
    if (k < 2) left = std::max(left - beside[k], 0.0);
  }
  const auto time = step_time(run, model, hardware(rate, 1));
  REQUIRE(time.after_last_pass == Approx(left));
  REQUIRE(time.in_passes == 0.0);
  REQUIRE(time.fast_link == Approx(traffic_per_step(model, micro_batches).all_reduces / rate));
}

TEST_CASE("updated weights are gathered before and beside the next forward pass") {
  const double rate = GENERATE(1e5, 1e6, 1e7);
  const auto mode = GENERATE(Sharding::optimizer, Sharding::gradients);
  const std::int64_t ranks = 4;
  const auto run = config(mode, ranks, 2);
  const auto model = sharded(run, ranks);
  const auto s = seconds(run);
  const double compute[] = {0, s.global, s.local, s.local, s.head};
  double latest = 0;  // a stage can start when its weights are there: the largest lateness counts
  double arrival = 0, computed = 0;
  for (std::size_t unit = 0; unit < model.units.size(); ++unit) {
    arrival += gather_bytes(model, unit) / rate;
    latest = std::max(latest, arrival - computed);
    computed += compute[unit];
  }
  REQUIRE(step_time(run, model, hardware(rate, 1)).before_first_pass == Approx(latest));
}

TEST_CASE("replicas on other hosts have the network, the ranks of a copy the fast link") {
  const auto run = config(Sharding::full, 16, 1, 4);  // copies of 4 on hosts of 8
  const auto model = sharded(run, 16);
  const auto traffic = traffic_per_step(model, 1);
  const auto time = step_time(run, model, hardware(1e9, 1e6));
  REQUIRE(time.fast_link == Approx((traffic.gathers + traffic.scatters) / 1e9));
  REQUIRE(time.network == Approx(traffic.all_reduces / 2e6));  // two of a ring on each host
}

TEST_CASE("a step takes as long as its longest part, and not longer than all of them") {
  const auto sharding =
      GENERATE(Sharding::none, Sharding::optimizer, Sharding::gradients, Sharding::full);
  const std::int64_t ranks = GENERATE(2, 8, 32), replicas = GENERATE(1, 2);
  const double network = GENERATE(1e5, 1e6, 1e8);
  const auto run = config(sharding, ranks, 3, replicas);
  const auto model = sharded(run, ranks);
  const auto time = step_time(run, model, hardware(10 * network, network));
  REQUIRE(time.step() >= std::max({time.compute, time.fast_link, time.network}) * (1 - 1e-12));
  REQUIRE(time.step() <= (time.compute + time.fast_link + time.network) * (1 + 1e-12));
  const auto faster = step_time(run, model, hardware(20 * network, 2 * network));
  REQUIRE(faster.step() <= time.step());
  REQUIRE(faster.compute == time.compute);
}

}  // namespace
}  // namespace zebra
