#include "ablation/setting_text.h"

#include <cstdlib>

#include "base/error.h"
#include "config/read_yaml.h"
#include "support/catch.h"

using namespace zebra;

namespace {

/// The value of `a: TEXT`.
Value value_of(const std::string& text) { return parse_yaml("a: " + text, "t").find("a")->value; }

}  // namespace

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

TEST_CASE("Labels say the scalars of a value") {
  CHECK(label_text(value_of("0.9")) == "0.9");
  CHECK(label_text(value_of("[0.9, 0.95]")) == "0.9-0.95");
  CHECK(label_text(value_of("{path: a/b, weight: 2}")) == "a/b-2");
  CHECK(label_text(value_of("")) == "default");
}

TEST_CASE("Names of folders hold safe characters only") {
  CHECK(folder_name("Az09._-") == "Az09._-");
  CHECK(folder_name("a/b c:d\n") == "a-b-c-d-");
  CHECK(folder_name("\xc3\xbc") == "--");
  CHECK(folder_name(std::string("a\0b", 3)) == "a-b");
}

TEST_CASE("Equal numbers are the same value however they are written") {
  CHECK(is_same_value("8", "8.0"));
  CHECK(is_same_value("1e3", "1000"));
  CHECK(is_same_value("GLLL", "GLLL"));
  CHECK_FALSE(is_same_value("8", "9"));
  CHECK_FALSE(is_same_value("full", "local"));
  CHECK_FALSE(is_same_value("8", "\"8\""));
}
