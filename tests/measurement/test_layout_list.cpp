#include "measurement/layout_list.h"

#include <algorithm>

#include "support/catch.h"
#include "support/models.h"

namespace zebra {
namespace {

using Names = std::vector<std::string>;

std::vector<std::string> patterns(const Names& names, const ModelConfig& shape) {
  Problems problems;
  std::vector<std::string> result;
  for (const auto& layout : named_layouts(names, shape, problems)) {
    result.push_back(layout.label + " " + layout.model.attention_pattern.value());
  }
  REQUIRE(problems.all() == Names{});
  return result;
}

std::string problems_of(const Names& names, const ModelConfig& shape) {
  Problems problems;
  named_layouts(names, shape, problems);
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
  const auto layouts = named_layouts({"local"}, shape, problems);
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
  auto shape = testing::small_model("GGG");
  shape.window_size.reset();
  REQUIRE(problems_of({"full", "GGG", "mix:1"}, shape).empty());
  const auto text = problems_of({"full", "mix:2", "local"}, shape);
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
