#include "config/catalogue.h"

#include <cmath>

#include "support/catch.h"

using namespace zebra;

namespace {

bool allows(const Rules& rules, double value) { return !rules.violation(value, "it"); }

}  // namespace

TEST_CASE("Bounds are inclusive or exclusive as they say") {
  CHECK(allows(anything(), -1e300));
  CHECK(allows(at_least(1), 1));
  CHECK_FALSE(allows(at_least(1), 0.999));
  CHECK(allows(above(0), 1e-300));
  CHECK_FALSE(allows(above(0), 0));
  CHECK(allows(between(0, 1), 0));
  CHECK(allows(between(0, 1), 1));
  CHECK_FALSE(allows(between(0, 1), 1.0001));
  CHECK_FALSE(allows(between(0, 1), -0.0001));
  CHECK(allows(at_least(0).below(1), 0));
  CHECK(allows(at_least(0).below(1), std::nextafter(1.0, 0.0)));
  CHECK_FALSE(allows(at_least(0).below(1), 1));
  CHECK_FALSE(allows(at_least(0), std::nan("")));
}

TEST_CASE("A violation says what would be right") {
  CHECK(*at_least(1).violation(0, "0") == "must be at least 1, not 0");
  CHECK(*above(0).violation(-2.5, "-2.5") == "must be greater than 0, not -2.5");
  CHECK(*between(0, 1).violation(7, "7") == "must be from 0 to 1, not 7");
  CHECK(*at_least(0).below(1).violation(1, "1.0") == "must be at least 0, below 1, not 1.0");
  CHECK(anything().range_text().empty());
}

TEST_CASE("Additions leave the bounds alone") {
  const Rules rules = at_least(2).required("or else").defaults_to("x").may_change_on_resume();
  CHECK(rules.is_required);
  CHECK(rules.required_hint == "or else");
  CHECK(rules.default_note == "x");
  CHECK(rules.changeable_on_resume);
  CHECK(allows(rules, 2));
  CHECK_FALSE(allows(rules, 1));
  CHECK_FALSE(at_least(2).is_required);
}
