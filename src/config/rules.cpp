#include "config/rules.h"

#include <utility>

#include "base/text.h"

namespace zebra {

Rules Rules::required(std::string hint) const {
  Rules rules = *this;
  rules.is_required = true;
  rules.required_hint = std::move(hint);
  return rules;
}

Rules Rules::defaults_to(std::string note) const {
  Rules rules = *this;
  rules.default_note = std::move(note);
  return rules;
}

Rules Rules::may_change_on_resume() const {
  Rules rules = *this;
  rules.changeable_on_resume = true;
  return rules;
}

std::optional<std::string> Rules::violation(double value, const std::string& text) const {
  const bool above_minimum =
      !minimum || value > *minimum || (value == *minimum && !minimum_excluded);
  const bool below_maximum =
      !maximum || value < *maximum || (value == *maximum && !maximum_excluded);
  if (above_minimum && below_maximum) return std::nullopt;
  return "must be " + range_text() + ", not " + text;
}

std::string Rules::range_text() const {
  const std::string low = minimum ? round_trip(*minimum) : "";
  const std::string high = maximum ? round_trip(*maximum) : "";
  if (minimum && maximum && !minimum_excluded && !maximum_excluded)
    return "from " + low + " to " + high;
  std::string text;
  if (minimum) text = (minimum_excluded ? "greater than " : "at least ") + low;
  if (maximum) {
    text += (text.empty() ? "" : ", ");
    text += (maximum_excluded ? "below " : "at most ") + high;
  }
  return text;
}

Rules anything() { return {}; }

Rules at_least(double minimum) {
  Rules rules;
  rules.minimum = minimum;
  return rules;
}

Rules above(double minimum) {
  Rules rules = at_least(minimum);
  rules.minimum_excluded = true;
  return rules;
}

Rules between(double minimum, double maximum) {
  Rules rules = at_least(minimum);
  rules.maximum = maximum;
  return rules;
}

Rules from_to_below(double minimum, double limit) {
  Rules rules = between(minimum, limit);
  rules.maximum_excluded = true;
  return rules;
}

Rules one_of(std::vector<std::string> choices) {
  Rules rules;
  rules.choices = std::move(choices);
  return rules;
}

}  // namespace zebra
