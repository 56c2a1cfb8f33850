#pragma once

#include <optional>
#include <string>
#include <vector>

namespace zebra {

/// What a key accepts and what happens when it is absent. Bounds hold for a number, for each number
/// of a pair, and for the length of a list.
struct Rules {
  std::optional<double> minimum, maximum;
  bool minimum_excluded = false, maximum_excluded = false;
  std::vector<std::string> choices;  // of a text key; those of an enum come from its names

  bool is_required = false;
  std::string required_hint;  // another way to satisfy the requirement
  std::string
      default_note;  // what takes the place of an absent key whose default is not a fixed value
  bool changeable_on_resume = false;

  Rules required(std::string hint = "") const;
  Rules defaults_to(std::string note) const;
  Rules may_change_on_resume() const;

  /// Why `value` is refused ("must be at least 1, not 0"), or nothing.
  std::optional<std::string> violation(double value, const std::string& text) const;

  /// "at least 1", "greater than 0", "from 0 to 1", "at least 0, below 1"; empty when unbounded.
  std::string range_text() const;
};

Rules anything();
Rules at_least(double minimum);
Rules above(double minimum);
Rules between(double minimum, double maximum);
Rules from_to_below(double minimum, double limit);
Rules one_of(std::vector<std::string> choices);

}  // namespace zebra
