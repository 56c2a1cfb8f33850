#include "config/yaml_fault.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace zebra {
namespace {

constexpr const char* kSameColumn =
    "wrong indentation: keys of one map begin in the same column, and so do the items of a list";

std::string indentation_of(const std::string& line) {
  return line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
}

bool is_blank(const std::string& line) {
  const std::size_t begin = line.find_first_not_of(" \t\r");
  return begin == std::string::npos || line[begin] == '#';
}

/// How often a key's colon stands in the line: one with a space, or the end, behind it.
std::size_t colons_in(const std::string& line) {
  std::size_t count = 0;
  for (std::size_t at = line.find(':'); at != std::string::npos; at = line.find(':', at + 1))
    if (at + 1 == line.size() || line[at + 1] == ' ') ++count;
  return count;
}

/// A key with a colon that has no space behind it, as in "lr:0.1".
bool lacks_space(const std::string& line) {
  return colons_in(line) == 0 && line.find(':') != std::string::npos;
}

/// The last line with a key or an item before `line`, or `line` where there is none.
std::size_t line_before(const std::vector<std::string>& lines, std::size_t line) {
  for (std::size_t before = line; before-- > 0;)
    if (!is_blank(lines[before])) return before;
  return line;
}

YamlFault explain_layout(const std::vector<std::string>& lines, std::size_t line) {
  const std::size_t before = line_before(lines, line);
  if (lacks_space(lines[before])) return {before, "a key's colon needs a space behind it"};
  if (colons_in(lines[line]) > 1)
    return {line, "a value that holds a colon and a space needs quotes"};
  return {line, kSameColumn};
}

}  // namespace

YamlFault explain_yaml_fault(const std::string& text, std::size_t line,
                             const std::string& message) {
  const auto lines = split(text, '\n');
  line = std::min(line, lines.size() - 1);
  const auto says = [&](std::string_view words) {
    return message.find(words) != std::string::npos;
  };
  for (std::size_t i = line + 1; i-- > 0;) {
    if (!is_blank(lines[i]) && indentation_of(lines[i]).find('\t') != std::string::npos)
      return {i, "the line is indented with a tab; YAML takes spaces"};
  }
  if (says("end of map flow")) return {line, "a { before it is not closed with }"};
  if (says("end of sequence flow")) return {line, "a [ before it is not closed with ]"};
  const bool is_layout = says("illegal map value") || says("end of map not found") ||
                         says("end of sequence not found");
  if (is_layout) return explain_layout(lines, line);
  if (says("unknown token"))
    return {line, "text that begins with a character such as @, ` or % needs quotes"};
  return {line, message};
}

}  // namespace zebra
