#include "config/yaml_text.h"

#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/error.h"
#include "config/environment.h"
#include "config/read_yaml.h"
#include "support/catch.h"

using namespace zebra;

namespace {

/// The text of a value that went through the parser, variables expanded as the reader does.
std::string through_parser(const std::string& yaml) {
  const Value root = parse_yaml("key: " + yaml + "\n", "x");
  REQUIRE(root.find("key")->value.kind == Value::Kind::scalar);
  return expand_variables(root.find("key")->value.scalar);
}

/// The value of `a: TEXT`.
Value value_of(const std::string& text) { return parse_yaml("a: " + text, "t").find("a")->value; }

}  // namespace

TEST_CASE("Numbers always have a point, so that every YAML parser takes them for numbers") {
  CHECK(yaml_text(1e-5) == "1.0e-05");
  CHECK(yaml_text(1.5e-7) == "1.5e-07");
  CHECK(yaml_text(0.1) == "0.1");
  CHECK(yaml_text(10000.0) == "10000.0");
  CHECK(yaml_text(1e22) == "1.0e+22");
  CHECK(yaml_text(0.0) == "0.0");
}

TEST_CASE("Numbers read back to the same bits") {
  for (const double value : {0.1, 1.0 / 3.0, 3e-4, 1e-300, 6.02214076e23, 5e-324,
                             std::numeric_limits<double>::max(), std::nextafter(1.0, 2.0)}) {
    CHECK(std::strtod(yaml_text(value).c_str(), nullptr) == value);
  }
  CHECK(yaml_text(std::int64_t{-9007199254740993}) == "-9007199254740993");
  CHECK(yaml_text(std::array<double, 2>{0.9, 0.95}) == "[0.9, 0.95]");
}

TEST_CASE("Text reads back unchanged, whatever it looks like") {
  for (const std::string text : {"plain",
                                 "/a/b-c_d.e",
                                 "two words",
                                 "null",
                                 "Null",
                                 "true",
                                 "NO",
                                 "y",
                                 "~",
                                 "123",
                                 "1e3",
                                 "",
                                 " x ",
                                 "a: b",
                                 "a #b",
                                 "- a",
                                 "[a]",
                                 "{a}",
                                 "it's \"quoted\" \\ here",
                                 "line\nbreak\ttab\x01",
                                 "${HOME}",
                                 "$${HOME}",
                                 "größe",
                                 "*a",
                                 "&a",
                                 "!a",
                                 "%a",
                                 "@a",
                                 "`a`",
                                 "a,b",
                                 ".inf",
                                 "-1",
                                 "2024-01-01",
                                 "\x7f"}) {
    CHECK(through_parser(yaml_text(text)) == text);
  }
}

TEST_CASE("Ordinary text stays without quotes, treacherous text gets them") {
  CHECK(yaml_text(std::string("runs/tiny-1.3b")) == "runs/tiny-1.3b");
  CHECK(yaml_text(std::filesystem::path("/a/b")) == "/a/b");
  CHECK(yaml_text(std::string("No")) == "\"No\"");
  CHECK(yaml_text(std::string("125")) == "\"125\"");
  CHECK(yaml_text(std::string("a, b")) == "\"a, b\"");
}

TEST_CASE("Choices are written by name") {
  CHECK(yaml_text(Device::automatic) == "auto");
  CHECK(yaml_text(ScheduleType::wsd) == "wsd");
  CHECK(yaml_text(true) == "true");
}

TEST_CASE("A value is written as YAML on one line that reads back to the same value") {
  CHECK(one_line_yaml(value_of("12")) == "12");
  CHECK(one_line_yaml(value_of("\"-3.5e-2\"")) == "-3.5e-2");
  CHECK(one_line_yaml(value_of("true")) == "true");
  CHECK(one_line_yaml(value_of("")) == "null");
  CHECK(one_line_yaml(value_of("GLLL")) == "GLLL");
  CHECK(one_line_yaml(value_of("'a: b, c]'")) == "\"a: b, c]\"");
  CHECK(one_line_yaml(value_of("'null'")) == "\"null\"");
  CHECK(one_line_yaml(value_of("\n  - {path: x/y, weight: 2}\n  - {path: '#z'}")) ==
        "[{path: x/y, weight: 2}, {path: \"#z\"}]");
  for (const std::string text : {"12", "'null'", "'a: b, c]'", "[1, [x, '}']]", "{k: 'y', l: }"}) {
    const std::string once = one_line_yaml(value_of(text));
    CHECK(one_line_yaml(value_of(once)) == once);
    CHECK(value_of(once).kind == value_of(text).kind);
  }
}

TEST_CASE("Variables of a setting are expanded once") {
  ::setenv("ZEBRA_TEST_SETTING", "some/${where}", 1);
  CHECK(one_line_yaml(value_of("'${ZEBRA_TEST_SETTING}/x'")) == "\"some/$${where}/x\"");
  CHECK(one_line_yaml(value_of("$${literal}")) == "\"$${literal}\"");
  ::unsetenv("ZEBRA_TEST_SETTING");
  CHECK_THROWS_AS(one_line_yaml(value_of("'${ZEBRA_TEST_SETTING}'")), InputError);
}
