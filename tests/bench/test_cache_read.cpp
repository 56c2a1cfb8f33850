#include "bench/cache_read.h"

#include <nlohmann/json.hpp>

#include "config/load.h"
#include "support/catch.h"

namespace zebra {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("bytes of a cache are those of keys and values, in local layers of the window") {
  const auto precision = GENERATE(Precision::fp32, Precision::bf16);
  auto config = resolve(
      parse_run_file("run: {dir: r, device: cpu}\n"
                     "model: {hidden_size: 48, intermediate_size: 64, num_hidden_layers: 3, "
                     "num_attention_heads: 4, num_key_value_heads: 2, attention_pattern: GLL, "
                     "window_size: 6}\n"
                     "data: {tokenizer: t, train: [{path: d}], sequence_length: 8}\n"
                     "train: {max_steps: 1, global_batch_size: 1}\n",
                     "c.yaml"),
      300);
  config.train.precision = precision;
  const auto found = measure_cache_read(config, 100, 3);
  const std::int64_t element = precision == Precision::fp32 ? 4 : 2;
  CHECK(found.bytes == (100 + 7 + 7) * 2 * 2 * 12 * element);
  CHECK(found.pattern == "GLL");
  REQUIRE(found.reads.size() == 3);
  REQUIRE(found.copies.size() == 3);
  for (const double seconds : found.reads) CHECK(seconds > 0.0);
  // A cache that holds less than the window is all that a local layer sees.
  CHECK(measure_cache_read(config, 4, 3).bytes == 3 * 4 * 2 * 2 * 12 * element);
}

TEST_CASE("rates are medians, and shares are of one round") {
  const CacheRead found = {.device = "cpu",
                           .machine = "Abacus 9",
                           .threads = 2,
                           .precision = Precision::bf16,
                           .pattern = "GL",
                           .keys = 32768,
                           .bytes = 4'000'000'000,
                           .reads = {2.0, 4.0, 1.0},
                           .copies = {1.0, 1.0, 1.0}};
  CHECK(found.read_rate() == 2e9);
  CHECK(found.copy_rate() == 4e9);
  CHECK(found.shares() == std::vector<double>{0.25, 0.5, 1.0});
  const auto text = to_text(found);
  CHECK_THAT(text, Contains("cpu: Abacus 9, 2 threads, bf16"));
  CHECK_THAT(text, Contains("32,768 cached keys, layers GL"));
  CHECK_THAT(text, Contains("2000.000  2.00"));
  CHECK_THAT(text, Contains("attention at 0.50 of a copy's speed (0.25 to 1.00 in 3 rounds)"));
  const auto json = to_json(found);
  CHECK(json.at("share") == 0.5);
  CHECK(json.at("read_seconds").size() == 3);
}

}  // namespace
}  // namespace zebra
