#include "base/error.h"

#include "support/catch.h"

namespace zebra {
namespace {

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
