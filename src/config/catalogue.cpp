#include "config/catalogue.h"

#include "config/fields.h"

namespace zebra {
namespace {

void collect_leaves(const KeyInfo& info, std::vector<const KeyInfo*>& found) {
  for (const KeyInfo& child : info.children) {
    if (child.type != KeyType::group) found.push_back(&child);
    collect_leaves(child, found);
  }
}

}  // namespace

const KeyInfo* KeyInfo::find(const std::string& child) const {
  for (const KeyInfo& info : children) {
    if (info.name == child) return &info;
  }
  return nullptr;
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
  collect_leaves(group, found);
  return found;
}

}  // namespace zebra
