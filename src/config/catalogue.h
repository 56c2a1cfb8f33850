#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/rules.h"

namespace zebra {

enum class KeyType { integer, number, boolean, text, path, choice, pair, list, group };

/// One key as data, collected from fields.h.
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
};

/// All keys: a nameless group whose children are the sections.
const KeyInfo& catalogue();

/// Every key below `group` that is no group, depth first in declared order; a list is followed by
/// its elements' keys.
std::vector<const KeyInfo*> leaves(const KeyInfo& group);

}  // namespace zebra
