#include "config/value.h"

#include <algorithm>
#include <utility>

namespace zebra {

std::string Origin::text() const { return line > 0 ? source + ":" + std::to_string(line) : source; }

const Entry* Value::find(std::string_view key) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

Entry* Value::find(std::string_view key) {
  return const_cast<Entry*>(std::as_const(*this).find(key));
}

void merge(Value& base, const Value& over) {
  for (const Entry& entry : over.entries) {
    Entry* existing = base.find(entry.key);
    if (existing == nullptr) {
      base.entries.push_back(entry);
      continue;
    }
    if (existing->value.kind == Value::Kind::map) {
      // A line in a file says more about where a section stands than a preset or an override.
      if (existing->origin.line == 0 && entry.value.kind == Value::Kind::map) {
        existing->origin = entry.origin;
      }
      if (entry.value.kind == Value::Kind::null) continue;
      if (entry.value.kind == Value::Kind::map) {
        merge(existing->value, entry.value);
        continue;
      }
    }
    *existing = entry;
  }
}

}  // namespace zebra
