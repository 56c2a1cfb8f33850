#include "config/unknown_keys.h"

#include <cctype>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/aliases.h"
#include "config/catalogue.h"

namespace zebra {
namespace {

struct Hint {
  std::string text;
  std::string name;  // of the key that was likely meant, when it stands in the same group
  std::string key;   // the same, dotted, when it stands elsewhere
};

/// Every key and group below `info`.
void collect_all(const KeyInfo& info, std::vector<const KeyInfo*>& found) {
  for (const KeyInfo& child : info.children) {
    found.push_back(&child);
    collect_all(child, found);
  }
}

const std::vector<const KeyInfo*>& all_keys() {
  static const std::vector<const KeyInfo*> kAll = [] {
    std::vector<const KeyInfo*> found;
    collect_all(catalogue(), found);
    return found;
  }();
  return kAll;
}

std::vector<std::string> keys_named(const std::string& name) {
  std::vector<std::string> keys;
  for (const KeyInfo* info : all_keys()) {
    if (info->name == name) keys.push_back(info->key);
  }
  return keys;
}

std::vector<std::string> names_in(const KeyInfo& group) {
  std::vector<std::string> names;
  for (const KeyInfo& child : group.children) names.push_back(child.name);
  return names;
}

/// As other spellings would be written here: max-steps, MAX_STEPS.
std::string normalized(const std::string& word) {
  std::string result;
  for (const char c : word) {
    result += c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return result;
}

/// "a", "a or b", "a, b or c".
std::string alternatives(std::vector<std::string> keys) {
  const std::string last = keys.back();
  keys.pop_back();
  return keys.empty() ? last : join(keys, ", ") + " or " + last;
}

Hint hint_of_sibling(const std::string& name) { return {"did you mean " + name + "?", name, ""}; }

Hint hint_of_alias(const Alias& alias) {
  if (alias.key.empty()) return {alias.remark, "", ""};
  const std::string remark = alias.remark.empty() ? "" : " (" + alias.remark + ")";
  return {"write " + alias.key + remark, "", alias.key};
}

Hint hint_of_other_place(const std::string& name, const std::vector<std::string>& keys) {
  if (keys.size() > 1) return {"it belongs elsewhere: " + alternatives(keys), "", ""};
  const std::string& key = keys.front();
  const std::size_t dot = key.rfind('.');
  if (dot == std::string::npos) return {name + " is a section, at the top level", "", key};
  return {"it belongs in " + key.substr(0, dot) + ", as " + key, "", key};
}

/// Hint for a dotted key that would be right after --set, or nothing.
std::optional<Hint> hint_of_dots(const std::string& written, const KeyInfo& group) {
  const std::string key = group.key.empty() ? written : group.key + "." + written;
  for (const KeyInfo* info : all_keys()) {
    if (info->key != key) continue;
    return Hint{
        "dots join keys in --set only; in a file, indent " + info->name + " under its section", "",
        key};
  }
  return std::nullopt;
}

Hint hint_for(const std::string& written, const KeyInfo& group) {
  if (const auto dotted = hint_of_dots(written, group)) return *dotted;
  const std::string word = normalized(written);
  if (group.find(word) != nullptr) return hint_of_sibling(word);
  if (const auto keys = keys_named(word); !keys.empty()) return hint_of_other_place(word, keys);
  if (const Alias* alias = find_alias(word)) return hint_of_alias(*alias);
  const std::vector<std::string> siblings = names_in(group);
  if (const std::string near = nearest_word(word, siblings); !near.empty()) {
    return hint_of_sibling(near);
  }
  std::vector<std::string> names;
  for (const KeyInfo* info : all_keys()) names.push_back(info->name);
  if (const std::string near = nearest_word(word, names); !near.empty()) {
    const auto keys = keys_named(near);
    return {"did you mean " + alternatives(keys) + "?", "", keys.size() == 1 ? keys.front() : ""};
  }
  const std::string where = group.key.empty() ? "sections" : "keys of " + group.key;
  return {where + ": " + join(siblings, ", "), "", ""};
}

/// Whether the run file gives the key (dotted, outside lists).
bool is_given(const Value& root, const std::string& key) {
  const Value* value = &root;
  for (std::size_t begin = 0;;) {
    const std::size_t dot = key.find('.', begin);
    const Entry* entry = value->find(key.substr(begin, dot - begin));
    if (entry == nullptr || dot == std::string::npos) return entry != nullptr;
    value = &entry->value;
    begin = dot + 1;
  }
}

class KeyChecker {
 public:
  KeyChecker(const Value& root, Report& report) : root_(root), report_(report) {}

  /// `prefix` is the path of `map` in the file, with a dot, where the catalogue knows it as
  /// `group`.
  void check_map(const Value& map, const KeyInfo& group, const std::string& prefix) {
    for (const Entry& entry : map.entries) {
      if (group.key.empty() && entry.key.starts_with("x-")) continue;
      const std::string key = prefix + entry.key;
      report_.locate(key, entry.origin);
      if (const KeyInfo* info = group.find(entry.key)) {
        check_value(entry.value, *info, key);
        continue;
      }
      const Hint hint = hint_for(entry.key, group);
      report_.problem(key, "unknown key; " + hint.text);
      if (const KeyInfo* sibling = group.find(hint.name)) {
        if (map.find(sibling->name) == nullptr) report_.mark_unsound(prefix + sibling->name);
      } else if (!hint.key.empty() && !is_given(root_, hint.key)) {
        report_.mark_unsound(hint.key);
      }
    }
  }

 private:
  void check_value(const Value& value, const KeyInfo& info, const std::string& key) {
    if (info.type == KeyType::group) check_map(value, info, key + ".");
    if (info.type != KeyType::list) return;
    for (std::size_t i = 0; i < value.items.size(); ++i) {
      const std::string element = key + "[" + std::to_string(i) + "]";
      report_.locate(element, value.items[i].origin);
      check_map(value.items[i], info, element + ".");
    }
  }

  const Value& root_;
  Report& report_;
};

}  // namespace

void check_keys(const Value& root, Report& report) {
  KeyChecker(root, report).check_map(root, catalogue(), "");
}

}  // namespace zebra
