#include "config/yaml_fault.h"

#include "base/error.h"
#include "config/yaml.h"
#include "support/catch.h"

namespace zebra {
namespace {

std::string fault_of(const std::string& text) {
  try {
    parse_yaml(text, "run.yaml");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("what is no YAML is explained by what was likely done") {
  const std::string tab = "not valid YAML: the line is indented with a tab; YAML takes spaces";
  CHECK(fault_of("run:\n\tname: x\n") == "run.yaml:2: " + tab);
  CHECK(fault_of("run:\n  name: x\n\tdir: y\n") == "run.yaml:3: " + tab);
  const std::string column =
      "not valid YAML: wrong indentation: keys of one map begin in the same column, and so do the "
      "items of a list";
  CHECK(fault_of("run:\n  name: x\n   dir: y\n") == "run.yaml:3: " + column);
  CHECK(fault_of("run:\n  name: x\n dir: y\n") == "run.yaml:3: " + column);
  CHECK(fault_of("run:\n  - name: x\n  dir: y\n") == "run.yaml:3: " + column);
  CHECK(fault_of("run:\n  name:x\n\n  # comment\n  dir: y\n") ==
        "run.yaml:2: not valid YAML: a key's colon needs a space behind it");
  CHECK(fault_of("run:\n  name: x: y\n") ==
        "run.yaml:2: not valid YAML: a value that holds a colon and a space needs quotes");
  CHECK(fault_of("run: {name: x\nmodel: {}\n").find("a { before it is not closed with }") !=
        std::string::npos);
  CHECK(fault_of("run:\n  name: [a, b\n  dir: c\n").find("a [ before it is not closed with ]") !=
        std::string::npos);
  CHECK(fault_of("run: {dir: @foo}\n").find("needs quotes") != std::string::npos);
}

TEST_CASE("a tab within a line, or in a comment, is not to blame") {
  CHECK(fault_of("run:\n  name: x\t# here\n  dir: y\n") == "accepted");
  CHECK(fault_of("\t# comment\nrun:\n  name: x\n dir: y\n").find("tab") == std::string::npos);
}

}  // namespace
}  // namespace zebra
