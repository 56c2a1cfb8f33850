#include "train/device_figures.h"

#include "support/catch.h"
#include "support/models.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("figures of the CPU: its process's memory, and no data sheet") {
  const double memory = memory_gib(c10::Device("cpu")).value();
  REQUIRE(memory > 0.005);
  REQUIRE(memory < 500.0);
  REQUIRE_FALSE(sheet_flops(c10::Device("cpu"), Precision::bf16));
}

TEST_CASE("a token's FLOPs are six for each weight of a matrix, and twelve for each key's width") {
  Config config;
  config.model = small_model("GL", /*window=*/5);
  config.data.sequence_length = 9;
  // Per layer: q, k, v, output and three matrices of the feed-forward part; one head.
  const double matrices = 2.0 * (24 * (24 + 2 * 12) + 24 * 24 + 3 * 24 * 40) + 24 * 53;
  // A global token sees 5 keys on average, a local one with a window of 2 at most 3.
  const auto keys = [](double local) { return 5.0 + local; };
  REQUIRE(flops_per_token(config, 2) ==
          Approx(6.0 * matrices + 12.0 * 24 * keys((1 + 2 + 7 * 3) / 9.0)));
  REQUIRE(flops_per_token(config, 0) == Approx(6.0 * matrices + 12.0 * 24 * keys(1.0)));
}

}  // namespace
}  // namespace zebra
