#include "config/value.h"

#include "config/read_yaml.h"
#include "support/catch.h"

using namespace zebra;

namespace {

Value merged(const std::string& base, const std::string& over) {
  Value result = parse_yaml(base, "base.yaml");
  merge(result, parse_yaml(over, "over.yaml"));
  return result;
}

}  // namespace

TEST_CASE("An origin is a file with a line, or a source alone") {
  CHECK(Origin{"run.yaml", 12}.text() == "run.yaml:12");
  CHECK(Origin{"--set a=1", 0}.text() == "--set a=1");
}

TEST_CASE("Maps merge, scalars and lists replace") {
  const Value value = merged("a: {x: 1, y: 2}\nb: [1, 2, 3]\nc: old\n",
                             "a:\n  y: 5\n  z: 6\nb: [9]\nc: new\nd: 4\n");
  REQUIRE(value.entries.size() == 4);
  const Value& a = value.find("a")->value;
  CHECK(a.find("x")->value.scalar == "1");
  CHECK(a.find("y")->value.scalar == "5");
  CHECK(a.find("z")->value.scalar == "6");
  CHECK(value.find("b")->value.items.size() == 1);
  CHECK(value.find("c")->value.scalar == "new");
  CHECK(value.find("d")->value.scalar == "4");
  CHECK(value.find("e") == nullptr);
}

TEST_CASE("Merged values know where they were written") {
  const Value value = merged("\na: {x: 1, y: 2}\n", "a:\n  y: 5\n");
  const Value& a = value.find("a")->value;
  CHECK(value.find("a")->origin.text() == "base.yaml:2");
  CHECK(a.find("x")->origin.text() == "base.yaml:2");
  CHECK(a.find("y")->origin.text() == "over.yaml:2");
}

TEST_CASE("A file says where a section stands, not the preset below it nor the override on top") {
  Value value = parse_yaml("a: {x: 1}", "preset p", false);
  CHECK(value.find("a")->origin.text() == "preset p");
  merge(value, parse_yaml("\n\na: {y: 1}\n", "run.yaml"));
  CHECK(value.find("a")->origin.text() == "run.yaml:3");
  merge(value, parse_override("a.y=2"));
  CHECK(value.find("a")->origin.text() == "run.yaml:3");
  CHECK(value.find("a")->value.find("y")->origin.text() == "--set a.y=2");
}

TEST_CASE("An empty section changes nothing, an empty key unsets") {
  const Value value = merged("a: {x: 1}\nb: {y: 2}\n", "a:\nb: {y: }\n");
  CHECK(value.find("a")->value.find("x")->value.scalar == "1");
  CHECK(value.find("b")->value.find("y")->value.kind == Value::Kind::null);
}

TEST_CASE("A map replaces a scalar and the other way round") {
  CHECK(merged("a: 1", "a: {x: 1}").find("a")->value.kind == Value::Kind::map);
  CHECK(merged("a: {x: 1}", "a: 1").find("a")->value.kind == Value::Kind::scalar);
}

TEST_CASE("Numbers are read one way, whole ones exactly") {
  CHECK(integer_from("+5") == 5);
  CHECK(integer_from("-5") == -5);
  CHECK(integer_from("2.5e3") == 2500);
  CHECK(integer_from("9007199254740993") == 9007199254740993);  // 2^53 + 1
  CHECK(integer_from("9223372036854775807") == 9223372036854775807);
  for (const char* text : {"", "+", "+-5", "--5", "5 ", "2.5", "9223372036854775808",
                           "9007199254740993.0", "nan", "inf", "x"}) {
    CAPTURE(text);
    CHECK_FALSE(integer_from(text).has_value());
  }
  CHECK(number_from("+.5") == 0.5);
  for (const char* text : {"", "1,5", "nan", "-inf", "1e999"}) {
    CAPTURE(text);
    CHECK_FALSE(number_from(text).has_value());
  }
}
