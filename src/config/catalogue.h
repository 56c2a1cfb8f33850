#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/names.h"
#include "config/training_point.h"
#include "config/yaml.h"

namespace zebra {

/// What a key accepts and what happens when it is absent. Bounds hold for a number, for each number
/// of a pair, and for the length of a list.
struct Rules {
  std::optional<double> minimum = {}, maximum = {};
  bool minimum_excluded = false, maximum_excluded = false;
  std::vector<std::string> choices = {};  // of a text key; those of an enum come from its names

  bool is_required = false;
  std::string required_hint = {};  // another way to satisfy the requirement
  std::string alternative = {};    // a key beside it that may be given instead, and not as well
  // What takes the place of an absent key whose default is not a fixed value.
  std::string default_note = {};
  bool changeable_on_resume = false;
  std::string advice = {};   // on what to do instead of a value out of bounds
  std::string example = {};  // of a list's elements

  // The same rules with one more.
  Rules required(std::string hint = "") const {
    return with([&](Rules& rules) { rules.is_required = true, rules.required_hint = hint; });
  }
  Rules or_else(std::string key) const {
    return with([&](Rules& rules) { rules.alternative = key; });
  }
  Rules defaults_to(std::string note) const {
    return with([&](Rules& rules) { rules.default_note = note; });
  }
  Rules may_change_on_resume() const {
    return with([](Rules& rules) { rules.changeable_on_resume = true; });
  }
  Rules with_advice(std::string text) const {
    return with([&](Rules& rules) { rules.advice = text; });
  }
  Rules such_as(std::string element) const {
    return with([&](Rules& rules) { rules.example = element; });
  }
  Rules at_most(double value) const {
    return with([&](Rules& rules) { rules.maximum = value; });
  }
  Rules below(double value) const {
    return with([&](Rules& rules) { rules.maximum = value, rules.maximum_excluded = true; });
  }

  /// Why `value` is refused ("must be at least 1, not 0"), or nothing.
  std::optional<std::string> violation(double value, const std::string& text) const;

  /// "at least 1", "greater than 0", "from 0 to 1", "at least 0, below 1"; empty when unbounded.
  std::string range_text() const;

 private:
  template <class Change>
  Rules with(const Change& change) const {
    Rules rules = *this;
    change(rules);
    return rules;
  }
};

inline Rules anything() { return {}; }
inline Rules at_least(double minimum) { return {.minimum = minimum}; }
inline Rules above(double minimum) { return {.minimum = minimum, .minimum_excluded = true}; }
inline Rules between(double minimum, double maximum) { return at_least(minimum).at_most(maximum); }
inline Rules one_of(std::vector<std::string> choices) { return {.choices = std::move(choices)}; }

/// `values` are lists of single values, `other` is what a reader of its own understands; run files
/// have neither.
enum class KeyType {
  integer,
  number,
  boolean,
  text,
  path,
  choice,
  pair,
  values,
  list,
  group,
  other
};

/// One key as data, collected from its declaration (fields.h).
struct KeyInfo {
  std::string name;  // "factor"
  std::string
      key;  // "model.rope_scaling.factor"; the keys of a list's elements are "data.train[].path"
  KeyType type = KeyType::group;
  Rules rules;  // with `choices` filled for every key that has some
  std::string help;
  std::optional<std::string> default_text;  // as YAML; absent when required or derived
  std::vector<KeyInfo> children;            // of a group, or of each element of a list

  const KeyInfo* find(const std::string& child) const;
  /// The key or group below this one that `dotted` names, or null; elements of lists have no name.
  const KeyInfo* find_dotted(const std::string& dotted) const;
};

/// All keys of a run file: a nameless group whose children are the sections.
const KeyInfo& catalogue();

/// Every key below `group` that is no group, depth first in declared order; a list is followed by
/// its elements' keys.
std::vector<const KeyInfo*> leaves(const KeyInfo& group);

/// The visitor of fields.h that collects the keys of one map as children of `parent`.
class CatalogueBuilder {
 public:
  explicit CatalogueBuilder(KeyInfo& parent) : parent_(parent) {}

  template <class T>
  void field(const char* name, const T& member, const Rules& rules, const char* help) {
    using Plain = typename Unwrapped<T>::type;
    KeyInfo& info = add(name, type_of<Plain>(), rules, help);
    if constexpr (NamedEnum<Plain>) info.rules.choices = names_of<Plain>();
    if constexpr (std::is_same_v<T, Plain> && requires { yaml_text(member); }) {
      if (!rules.is_required && rules.default_note.empty()) info.default_text = yaml_text(member);
    }
  }

  template <class S>
  void group(const char* name, S& member, const Rules& rules, const char* help) {
    CatalogueBuilder inner(add(name, KeyType::group, rules, help));
    describe(inner, member);
  }

  template <class Element>
  void list(const char* name, const std::vector<Element>&, const Rules& rules, const char* help) {
    KeyInfo& info = add(name, KeyType::list, rules, help);
    if (!rules.is_required && rules.default_note.empty()) info.default_text = "[]";
    CatalogueBuilder inner(info);
    Element element;
    describe(inner, element);
  }

  void other(const char* name, const Rules& rules, const char* help) {
    add(name, KeyType::other, rules, help);
  }

 private:
  template <class T>
  struct Unwrapped {
    using type = T;
  };
  template <class T>
  struct Unwrapped<std::optional<T>> {
    using type = T;
  };

  template <class T>
  static constexpr KeyType type_of() {
    if constexpr (NamedEnum<T>) return KeyType::choice;
    if constexpr (std::is_same_v<T, std::int64_t>) return KeyType::integer;
    if constexpr (std::is_same_v<T, double> || std::is_same_v<T, TrainingPoint>)
      return KeyType::number;
    if constexpr (std::is_same_v<T, bool>) return KeyType::boolean;
    if constexpr (std::is_same_v<T, std::string>) return KeyType::text;
    if constexpr (std::is_same_v<T, std::filesystem::path>) return KeyType::path;
    if constexpr (std::is_same_v<T, std::array<double, 2>>) return KeyType::pair;
    return KeyType::values;
  }

  KeyInfo& add(const char* name, KeyType type, const Rules& rules, const char* help);

  KeyInfo& parent_;
};

/// The keys of a file that `describe(visitor, Root&)` declares.
template <class Root>
KeyInfo keys_of() {
  KeyInfo root;
  CatalogueBuilder builder(root);
  Root defaults;
  describe(builder, defaults);
  return root;
}

}  // namespace zebra
