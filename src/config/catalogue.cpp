#include "config/catalogue.h"

#include <type_traits>

#include "config/fields.h"
#include "config/yaml_text.h"

namespace zebra {
namespace {

template <class T>
struct Unwrapped {
  using type = T;
};
template <class T>
struct Unwrapped<std::optional<T>> {
  using type = T;
};

template <class T>
constexpr KeyType type_of() {
  if constexpr (NamedEnum<T>) return KeyType::choice;
  if constexpr (std::is_same_v<T, std::int64_t>) return KeyType::integer;
  if constexpr (std::is_same_v<T, double>) return KeyType::number;
  if constexpr (std::is_same_v<T, bool>) return KeyType::boolean;
  if constexpr (std::is_same_v<T, std::string>) return KeyType::text;
  if constexpr (std::is_same_v<T, std::filesystem::path>) return KeyType::path;
  if constexpr (std::is_same_v<T, std::array<double, 2>>) return KeyType::pair;
}

class CatalogueBuilder {
 public:
  explicit CatalogueBuilder(KeyInfo& parent) : parent_(parent) {}

  template <class T>
  void field(const char* name, const T& member, const Rules& rules, const char* help) {
    using Plain = typename Unwrapped<T>::type;
    KeyInfo& info = add(name, type_of<Plain>(), rules, help);
    if constexpr (NamedEnum<Plain>) info.rules.choices = names_of<Plain>();
    if constexpr (std::is_same_v<T, Plain>) {
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
    if (!rules.is_required) info.default_text = "[]";
    CatalogueBuilder inner(info);
    Element element;
    describe(inner, element);
  }

 private:
  KeyInfo& add(const char* name, KeyType type, const Rules& rules, const char* help) {
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

  KeyInfo& parent_;
};

KeyInfo build_catalogue() {
  KeyInfo root;
  CatalogueBuilder builder(root);
  RunFile defaults;
  describe(builder, defaults);
  return root;
}

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

const KeyInfo& catalogue() {
  static const KeyInfo kRoot = build_catalogue();
  return kRoot;
}

std::vector<const KeyInfo*> leaves(const KeyInfo& group) {
  std::vector<const KeyInfo*> found;
  collect_leaves(group, found);
  return found;
}

}  // namespace zebra
