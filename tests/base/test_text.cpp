#include "base/text.h"

#include <cstdlib>
#include <limits>
#include <string>

#include "base/error.h"
#include "support/catch.h"

namespace zebra {
namespace {

TEST_CASE("splitting") {
  using Parts = std::vector<std::string>;
  CHECK(split("a,b", ',') == Parts{"a", "b"});
  CHECK(split("", ',') == Parts{""});
  CHECK(split(",a,,", ',') == Parts{"", "a", "", ""});
}

TEST_CASE("numbers read back as the same value") {
  for (const double value : {0.1, 1.0 / 3.0, 1e-300, 12345678.9, -0.0, 5e-324}) {
    REQUIRE(std::strtod(round_trip(value).c_str(), nullptr) == value);
  }
  REQUIRE(std::strtof(round_trip(0.1F).c_str(), nullptr) == 0.1F);
  REQUIRE(round_trip(std::numeric_limits<double>::quiet_NaN()) == "null");
  REQUIRE(round_trip(std::numeric_limits<double>::infinity()) == "null");
}

TEST_CASE("numbers for people") {
  REQUIRE(fixed(3.14159, 2) == "3.14");
  REQUIRE(with_commas(0) == "0");
  REQUIRE(with_commas(999) == "999");
  REQUIRE(with_commas(1234567) == "1,234,567");
  REQUIRE(with_commas(-1234) == "-1,234");
  REQUIRE(with_suffix(7) == "7");
  REQUIRE(with_suffix(1234) == "1.23K");
  REQUIRE(with_suffix(999999) == "1.00M");
  REQUIRE(with_suffix(6.738e9) == "6.74B");
  REQUIRE(scientific(1.8249e18) == "1.82e+18");
  REQUIRE(with_byte_unit(512) == "512 B");
  REQUIRE(with_byte_unit(1.5 * 1024 * 1024 * 1024) == "1.50 GiB");
}

TEST_CASE("durations") {
  REQUIRE(duration_text(45.2) == "45s");
  REQUIRE(duration_text(725) == "12m 05s");
  REQUIRE(duration_text(3 * 3600 + 7 * 60) == "3h 07m");
  REQUIRE(duration_text(2 * 86400 + 4 * 3600) == "2d 04h");
  REQUIRE(duration_text(-1) == "0s");
}

TEST_CASE("tables") {
  CHECK(text_table({{"name", "n", "note"}, {"a", "12", ""}, {"bcdef", "", "x y"}, {"b"}}, "lrl") ==
        "name    n  note\n"
        "a      12\n"
        "bcdef      x y\n"
        "b\n");
  CHECK(text_table({{"", "first", "second"}, {"x", "1", ""}}, "lr") ==
        "   first  second\n"
        "x      1        \n");
  CHECK(text_table({{"key", "value"}}) == "key  value\n");
  CHECK(figure_line(6, "name", "1") == "  name             1\n");
  CHECK(figure_line(6, "longer name", "1", "why") == "  longer name           1  why\n");
}

TEST_CASE("all problems come in one message") {
  Problems problems;
  REQUIRE_NOTHROW(problems.throw_if_any());
  problems.add("first");
  problems.add("second");
  try {
    problems.throw_if_any();
    FAIL("did not throw");
  } catch (const InputError& error) {
    REQUIRE(std::string(error.what()) == "first\nsecond");
  }
}

TEST_CASE("edit distance counts insertions, deletions, substitutions and swaps") {
  REQUIRE(edit_distance("", "abc") == 3);
  REQUIRE(edit_distance("kitten", "sitting") == 3);
  REQUIRE(edit_distance("ab", "ba") == 1);
  REQUIRE(edit_distance("same", "same") == 0);
}

TEST_CASE("the nearest word is a likely slip or none") {
  const std::vector<std::string> words = {"hidden_size", "head_dim", "window_size"};
  REQUIRE(nearest_word("hiden_size", words) == "hidden_size");
  REQUIRE(nearest_word("widnow_size", words) == "window_size");
  REQUIRE(nearest_word("optimizer", words).empty());
}

}  // namespace
}  // namespace zebra
