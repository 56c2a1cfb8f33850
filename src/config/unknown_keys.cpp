#include "config/unknown_keys.h"

#include <algorithm>
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

Hint hint_of_other_place(const std::string& name, const std::vector<std::string>& keys,
                         const KeyInfo& known) {
  if (keys.size() > 1) return {"it belongs elsewhere: " + alternatives(keys), "", ""};
  const std::string& key = keys.front();
  const std::size_t dot = key.rfind('.');
  if (dot == std::string::npos) {
    const bool is_section = known.find(key)->type == KeyType::group;
    return {name + (is_section ? " is a section, at the top level" : " belongs at the top level"),
            "", key};
  }
  return {"it belongs in " + key.substr(0, dot) + ", as " + key, "", key};
}

/// Whether the file gives the key (dotted, outside lists).
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
  KeyChecker(const Value& root, Report& report, const KeyInfo& known)
      : root_(root), report_(report), known_(known) {
    collect_all(known, all_);
  }

  /// `prefix` is the path of `map` in the file, with a dot; `group` holds the keys known there.
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

  /// The hint for what was written where the keys of `group` may stand.
  Hint hint_for(const std::string& written, const KeyInfo& group) const {
    if (const auto dotted = hint_of_dots(written, group)) return *dotted;
    const std::string word = normalized(written);
    if (group.find(word) != nullptr) return hint_of_sibling(word);
    if (const auto keys = keys_named(word); !keys.empty()) {
      return hint_of_other_place(word, keys, known_);
    }
    if (const Alias* alias = find_alias(word); alias != nullptr && knows(alias->key)) {
      return hint_of_alias(*alias);
    }
    const std::vector<std::string> siblings = names_in(group);
    if (const std::string near = nearest_word(word, siblings); !near.empty()) {
      return hint_of_sibling(near);
    }
    std::vector<std::string> names;
    for (const KeyInfo* info : all_) names.push_back(info->name);
    if (const std::string near = nearest_word(word, names); !near.empty()) {
      const auto keys = keys_named(near);
      return {"did you mean " + alternatives(keys) + "?", "", keys.size() == 1 ? keys.front() : ""};
    }
    const bool is_run_file = &known_ == &catalogue();
    const std::string top = is_run_file ? "sections" : "keys";
    return {(group.key.empty() ? top : "keys of " + group.key) + ": " + join(siblings, ", "), "",
            ""};
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

  /// Hint for a dotted key that would be right after --set, or nothing.
  std::optional<Hint> hint_of_dots(const std::string& written, const KeyInfo& group) const {
    const std::string key = group.key.empty() ? written : group.key + "." + written;
    for (const KeyInfo* info : all_) {
      if (info->key != key) continue;
      return Hint{
          "dots join keys in --set only; in a file, indent " + info->name + " under its section",
          "", key};
    }
    return std::nullopt;
  }

  std::vector<std::string> keys_named(const std::string& name) const {
    std::vector<std::string> keys;
    for (const KeyInfo* info : all_) {
      if (info->name == name) keys.push_back(info->key);
    }
    return keys;
  }

  /// Whether an alias of that key is one in this file; those without a key are in all.
  bool knows(const std::string& key) const {
    return key.empty() || std::any_of(all_.begin(), all_.end(),
                                      [&](const KeyInfo* info) { return info->key == key; });
  }

  const Value& root_;
  Report& report_;
  const KeyInfo& known_;
  std::vector<const KeyInfo*> all_;  // every key and group, depth first
};

}  // namespace

void check_keys(const Value& root, Report& report, const KeyInfo& known) {
  KeyChecker(root, report, known).check_map(root, known, "");
}

void report_unknown_key(const std::string& dotted, Report& report) {
  const KeyInfo* group = &catalogue();
  std::string written = dotted;
  for (std::size_t dot = written.find('.'); dot != std::string::npos; dot = written.find('.')) {
    const KeyInfo* inner = group->find(written.substr(0, dot));
    if (inner == nullptr || inner->type != KeyType::group) break;
    group = inner;
    written.erase(0, dot + 1);
  }
  const Value none;
  const Hint hint = KeyChecker(none, report, catalogue()).hint_for(written, *group);
  report.problem(dotted, "unknown key; " + hint.text);
}

}  // namespace zebra
