#include "plan/hardware.h"

#include "base/error.h"
#include "support/catch.h"

namespace zebra {
namespace {

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

}  // namespace
}  // namespace zebra
