#include "bench/cost_by_length.h"

#include <ATen/Parallel.h>

#include <algorithm>
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
    REQUIRE(row.pattern == pattern_of(model.layers));
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

using Names = std::vector<std::string>;

std::vector<std::string> patterns(const Names& names, const ModelConfig& shape,
                                  bool has_window = true) {
  Problems problems;
  std::vector<std::string> result;
  for (const auto& layout : named_layouts(names, shape, has_window, problems)) {
    result.push_back(layout.label + " " + pattern_of(layout.model.layers));
  }
  REQUIRE(problems.all() == Names{});
  return result;
}

std::string problems_of(const Names& names, const ModelConfig& shape, bool has_window = true) {
  Problems problems;
  named_layouts(names, shape, has_window, problems);
  return join(problems.all(), "\n");
}

TEST_CASE("layouts by name are one letter per layer") {
  const auto shape = testing::small_model("GLLGLLG");
  REQUIRE(patterns({"full", "local", "mix:1", "mix:3", "mix:7", "mix:9", "L", "LLG", "GLLLLLL"},
                   shape) == Names{"full GGGGGGG", "local LLLLLLL", "mix:1 GGGGGGG",
                                   "mix:3 GLLGLLG", "mix:7 GLLLLLL", "mix:9 GLLLLLL", "L LLLLLLL",
                                   "LLG LLGLLGL", "GLLLLLL GLLLLLL"});
}

TEST_CASE("a layout changes nothing of the model but its pattern") {
  const auto shape = testing::small_model("GG");
  Problems problems;
  const auto layouts = named_layouts({"local"}, shape, true, problems);
  REQUIRE(layouts.size() == 1);
  REQUIRE(layouts[0].model.hidden_size == shape.hidden_size);
  REQUIRE(layouts[0].model.window_size == shape.window_size);
}

TEST_CASE("bad layouts are reported all at once, each with the way out") {
  const auto shape = testing::small_model("GLL");
  const auto text = problems_of(
      {"full", "mix", "mix:0", "mix:2x", "mix:-1", "mix:", "GLX", "", "GLLL", "full"}, shape);
  for (const char* expected :
       {"\"mix\" is no layout", "\"mix:0\" has no whole number", "\"mix:2x\" has no whole number",
        "\"mix:-1\" has no whole number", "\"mix:\" has no whole number", "\"GLX\" is no layout",
        "\"\" is no layout", "\"GLLL\" has 4 letters for the model's 3 layers",
        "\"full\" comes twice"}) {
    INFO(text);
    REQUIRE(text.find(expected) != std::string::npos);
  }
  REQUIRE(std::count(text.begin(), text.end(), '\n') == 8);
  REQUIRE(problems_of({}, shape).find("names none") != std::string::npos);
}

TEST_CASE("local layers need a window, global ones do not") {
  const auto shape = testing::small_model("GGG");
  REQUIRE(problems_of({"full", "GGG", "mix:1"}, shape, false).empty());
  const auto text = problems_of({"full", "mix:2", "local"}, shape, false);
  REQUIRE(text.find("\"mix:2\" has local layers, but the model has no window; give --window") !=
          std::string::npos);
  REQUIRE(text.find("\"local\" has local layers") != std::string::npos);
}

TEST_CASE("lengths are whole numbers, ascending, each once") {
  Problems problems;
  REQUIRE(sequence_lengths({"4096", "7", "512"}, problems) ==
          std::vector<std::int64_t>{7, 512, 4096});
  REQUIRE(problems.empty());

  sequence_lengths({"0", "-5", "4k", "1.5", "", "512", "512", "99999999999999999999"}, problems);
  const auto text = join(problems.all(), "\n");
  INFO(text);
  REQUIRE(problems.all().size() == 7);
  for (const char* bad : {"\"0\"", "\"-5\"", "\"4k\"", "\"1.5\"", "\"\"", "512 comes twice",
                          "\"99999999999999999999\""}) {
    REQUIRE(text.find(bad) != std::string::npos);
  }
}

}  // namespace
}  // namespace zebra
