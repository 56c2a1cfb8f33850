#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "config/fields.h"
#include "config/load.h"
#include "config/yaml.h"

namespace zebra {
namespace {

/// A line of the resolved file: a group without a value, or a key with one.
struct Line {
  std::size_t depth;
  std::string name, key;
  std::optional<std::string> value;
  std::vector<std::string> elements;  // of a list, each as a map in one line
};

/// Visitor that turns a configuration into lines.
class LineWriter {
 public:
  LineWriter(std::vector<Line>& lines, std::size_t depth, std::string prefix)
      : lines_(lines), depth_(depth), prefix_(std::move(prefix)) {}

  template <class T>
  void field(const char* name, const T& member, const Rules&, const char*) {
    add(name, yaml_text(member));
  }
  template <class T>
  void field(const char* name, const std::optional<T>& member, const Rules&, const char*) {
    if (member) add(name, yaml_text(*member));
  }

  template <class S>
  void group(const char* name, S& member, const Rules&, const char*) {
    add(name, std::nullopt);
    LineWriter inner(lines_, depth_ + 1, prefix_ + name + ".");
    describe(inner, member);
  }

  template <class Element>
  void list(const char* name, std::vector<Element>& member, const Rules& rules, const char*) {
    const bool is_optional = !rules.default_note.empty();
    if (member.empty() && is_optional) return;
    add(name, "[]");
    std::vector<std::string> elements;
    for (Element& element : member) {
      std::vector<Line> parts;
      LineWriter inner(parts, 0, "");
      describe(inner, element);
      std::string text;
      for (const Line& part : parts)
        text += (text.empty() ? "" : ", ") + part.name + ": " + *part.value;
      elements.push_back("{" + text + "}");
    }
    if (!elements.empty()) lines_.back().value = "[" + join(elements, ", ") + "]";
    lines_.back().elements = std::move(elements);
  }

 private:
  void add(const char* name, std::optional<std::string> value) {
    lines_.push_back({depth_, name, prefix_ + name, std::move(value), {}});
  }

  std::vector<Line>& lines_;
  std::size_t depth_;
  std::string prefix_;
};

std::vector<Line> lines_of(RunFile file) {
  std::vector<Line> lines;
  LineWriter writer(lines, 0, "");
  describe(writer, file);
  return lines;
}

/// Value of the key, or "(absent)".
std::string value_in(const std::vector<Line>& lines, const std::string& key) {
  for (const Line& line : lines) {
    if (line.key == key) return line.value.value_or("");
  }
  return "(absent)";
}

}  // namespace

std::string to_yaml(const Config& config) { return to_yaml(as_run_file(config)); }

std::string to_yaml(const RunFile& file) {
  std::string text;
  for (const Line& line : lines_of(file)) {
    const std::string indent(2 * line.depth, ' ');
    text += indent + line.name + ":";
    if (line.elements.empty()) {
      text += line.value ? " " + *line.value + "\n" : "\n";
      continue;
    }
    text += "\n";
    for (const std::string& element : line.elements) text += indent + "  - " + element + "\n";
  }
  return text;
}

std::vector<ConfigDifference> differences(const Config& before, const Config& after) {
  const std::vector<Line> old_lines = lines_of(as_run_file(before));
  const std::vector<Line> new_lines = lines_of(as_run_file(after));
  std::vector<ConfigDifference> found;
  for (const Line& line : old_lines) {
    const std::string now = value_in(new_lines, line.key);
    if (now != line.value.value_or("")) found.push_back({line.key, *line.value, now});
  }
  for (const Line& line : new_lines) {
    if (value_in(old_lines, line.key) == "(absent)")
      found.push_back({line.key, "(absent)", *line.value});
  }
  return found;
}

}  // namespace zebra
