#pragma once

#include <cstddef>
#include <string>

namespace zebra {

/// A fault that a YAML parser found, for people: the line (from 0) that they should look at, and
/// what is wrong with it.
struct YamlFault {
  std::size_t line;
  std::string what;
};

/// Parsers say what they expected ("end of map not found") and where they gave up. This says what
/// was likely done: a tab, wrong indentation, a bracket left open, a missing space or quote.
YamlFault explain_yaml_fault(const std::string& text, std::size_t line, const std::string& message);

}  // namespace zebra
