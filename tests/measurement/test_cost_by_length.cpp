#include "measurement/cost_by_length.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <tuple>

#include "support/catch.h"
#include "support/models.h"

namespace zebra {
namespace {

using namespace zebra::testing;

void require_sound(CellSeconds seconds) {
  for (const auto* figure : seconds.figures()) {
    REQUIRE(*figure > 0.0);
    REQUIRE(std::isfinite(*figure));
  }
}

TEST_CASE("a measurement has a row for each layout and length, with times and memory") {
  at::set_num_threads(1);  // tiny tasks, on a machine that may be busy
  const auto wider = small_model("LLL", 9);
  const std::vector<NamedLayout> layouts = {{"full", small_model("GGG")},
                                            {"mixed", small_model("GLL")},
                                            {"local with a wider window", wider}};
  const auto measurement = measure_cost(layouts, {7, 20},
                                        {.tokens = 30,
                                         .generated_tokens = 3,
                                         .repeats = 1,
                                         .precision = Precision::bf16,
                                         .device = Device::cpu});
  REQUIRE(measurement.device == "cpu");
  REQUIRE_FALSE(measurement.machine.empty());
  REQUIRE(measurement.threads == 1);
  REQUIRE(measurement.precision == Precision::bf16);

  REQUIRE(measurement.rows.size() == 6);
  for (std::size_t i = 0; i < measurement.rows.size(); ++i) {
    const auto& row = measurement.rows[i];
    const auto& [label, model] = layouts[i / 2];
    REQUIRE(row.label == label);
    REQUIRE(row.pattern == model.attention_pattern.value());
    REQUIRE(row.work.length == (i % 2 == 0 ? 7 : 20));
    REQUIRE(row.work.batch == (i % 2 == 0 ? 4 : 1));
    REQUIRE(row.work.bytes_per_value == 2);
    require_sound(row.measured);
    require_sound(row.predicted);
    REQUIRE(row.tokens_per_second() ==
            Approx((i % 2 == 0 ? 28.0 : 20.0) / row.measured.training()));
    if (row.peak) {
      REQUIRE(row.peak->training > 0);
      REQUIRE(row.peak->generation > 0);
    }
  }
}

TEST_CASE("layouts that differ in their patterns only share their rates") {
  at::set_num_threads(1);
  const auto measurement =
      measure_cost({{"full", small_model("GGG")},
                    {"wider", small_model("LLL", 9)},
                    {"mixed", small_model("GLL")}},
                   {12}, {.generated_tokens = 2, .repeats = 1, .device = Device::cpu});
  const auto& [full, wider, mixed] =
      std::tie(measurement.rates.at(0), measurement.rates.at(1), measurement.rates.at(2));
  REQUIRE(full.matrix_products.forward == mixed.matrix_products.forward);
  REQUIRE(full.local_attention.forward > 0.0);
  REQUIRE(full.cached_keys == std::vector<std::int64_t>{1, 6, 12, 14});
  REQUIRE(wider.matrix_products.forward != mixed.matrix_products.forward);
  REQUIRE(wider.global_attention.forward == 0.0);
  REQUIRE(wider.cached_keys == std::vector<std::int64_t>{1, 10});
}

TEST_CASE("parts are timed at the shortest length of at least 4,096, else at the longest") {
  REQUIRE(reference_length({512}) == 512);
  REQUIRE(reference_length({1, 4095}) == 4095);
  REQUIRE(reference_length({1024, 4096, 8192}) == 4096);
  REQUIRE(reference_length({1024, 5000, 8192}) == 5000);
  REQUIRE(reference_length({16384, 32768}) == 16384);
}

}  // namespace
}  // namespace zebra
