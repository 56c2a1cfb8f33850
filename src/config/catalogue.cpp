#include "config/catalogue.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "config/fields.h"

namespace zebra {
std::optional<std::string> Rules::violation(double value, const std::string& text) const {
  const bool above_minimum =
      !minimum || value > *minimum || (value == *minimum && !minimum_excluded);
  const bool below_maximum =
      !maximum || value < *maximum || (value == *maximum && !maximum_excluded);
  if (above_minimum && below_maximum) return std::nullopt;
  return "must be " + range_text() + ", not " + text + (advice.empty() ? "" : "; " + advice);
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

const KeyInfo* KeyInfo::find(const std::string& child) const {
  const auto found = std::ranges::find(children, child, &KeyInfo::name);
  return found == children.end() ? nullptr : &*found;
}

const KeyInfo* KeyInfo::find_dotted(const std::string& dotted) const {
  if (type != KeyType::group) return nullptr;
  const std::size_t dot = dotted.find('.');
  const KeyInfo* child = find(dotted.substr(0, dot));
  if (child == nullptr || dot == std::string::npos) return child;
  return child->find_dotted(dotted.substr(dot + 1));
}

KeyInfo& CatalogueBuilder::add(const char* name, KeyType type, const Rules& rules,
                               const char* help) {
  const std::string separator = parent_.type == KeyType::list ? "[]." : ".";
  KeyInfo info;
  info.name = name;
  info.key = parent_.key.empty() ? name : parent_.key + separator + name;
  info.type = type;
  info.rules = rules;
  info.rules.changeable_on_resume |= parent_.rules.changeable_on_resume;
  info.help = help;
  parent_.children.push_back(std::move(info));
  return parent_.children.back();
}

const KeyInfo& catalogue() {
  static const KeyInfo kRoot = keys_of<RunFile>();
  return kRoot;
}

std::vector<const KeyInfo*> leaves(const KeyInfo& group) {
  std::vector<const KeyInfo*> found;
  for (const KeyInfo& child : group.children) {
    if (child.type != KeyType::group) found.push_back(&child);
    const auto inner = leaves(child);
    found.insert(found.end(), inner.begin(), inner.end());
  }
  return found;
}

}  // namespace zebra
