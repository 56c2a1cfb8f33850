#include "base/json_reader.h"

#include <nlohmann/json.hpp>

#include "support/catch.h"

namespace zebra {
namespace {

std::string nested(int levels) {
  const auto count = static_cast<std::size_t>(levels - 1);
  return "{\"a\":" + std::string(count, '[') + std::string(count, ']') + "}";
}

TEST_CASE("a JSON object that everybody reads the same way has no fault") {
  for (const std::string text : {"{}", "{ \"a\" : [1, -2, 3.5e2, null, true, \"\\u0000\"] }  \n",
                                 "{\"a\":{\"a\":{}}}", "{\"\xc3\xa4\":[{\"b\":1},{\"b\":2}]}"}) {
    INFO(text);
    REQUIRE(json_object_fault(text).empty());
  }
  REQUIRE(json_object_fault(nested(64)).empty());
}

TEST_CASE("what is no JSON object, or one that can be read in two ways, has a fault") {
  const auto [text, what] = GENERATE(table<std::string, std::string>(
      {{"", "begin with {"},
       {" {}", "begin with {"},
       {"\xef\xbb\xbf{}", "begin with {"},
       {"[1]", "begin with {"},
       {"{", "at byte 2"},
       {"{} {}", "not JSON"},
       {"{\"a\":1,}", "not JSON"},
       {"{\"a\":01}", "not JSON"},
       {"{\"a\":NaN}", "not JSON"},
       {"{\"a\":1e999}", "not JSON"},
       {"{\"\xff\":1}", "not JSON"},
       {"{\"\\ud800\":1}", "not JSON"},
       {std::string("{}\0", 3), "byte 3 of it is 0"},
       {std::string("{\"a\0\":1}", 8), "byte 4 of it is 0"},
       {"{\"a\":1,\"a\":1}", "\"a\" twice"},
       {"{\"x\":[{\"\\u0061\":1,\"b\":{},\"a\":1}]}", "\"a\" twice"},
       {nested(65), "deeper than 64"},
       {nested(100'000), "deeper than 64"}}));
  INFO(text.substr(0, 80));
  REQUIRE_THAT(json_object_fault(text), Catch::Matchers::Contains(what));
}

TEST_CASE("a quoted text is one short line of ASCII") {
  REQUIRE(quoted_text("a\n\x1b\"") == "\"a\\n\\u001b\\\"\"");
  REQUIRE(quoted_text("\xff\xc3\xa4") == "\"\\ufffd\\u00e4\"");
  REQUIRE(quoted_text(std::string(1000, 'x')) == "\"" + std::string(100, 'x') + "\"...");
}

TEST_CASE("members and numbers of what may be anything") {
  const auto json = nlohmann::ordered_json::parse(
      R"({"a": 1, "list": [0, 9223372036854775807], "large": [9223372036854775808], "b": [1, -1]})");
  CHECK(member_of(json, "missing") == nullptr);
  CHECK(member_of(json["list"], "a") == nullptr);
  CHECK(count_of<std::int64_t>(*member_of(json, "a")) == 1);
  CHECK(counts_of<std::int64_t>(json["list"]) == std::vector<std::int64_t>{0, INT64_MAX});
  for (const char* key : {"a", "large", "b"}) CHECK_FALSE(counts_of<std::int64_t>(json[key]));
  const nlohmann::json other = json;
  CHECK(counts_of<std::uint64_t>(other["large"]) == std::vector{std::uint64_t{1} << 63});
}

TEST_CASE("what is wrong with the keys of an object is said by key") {
  const auto json = nlohmann::json::parse(
      R"({"size": 5.0, "name": "x", "inner": {"flag": 1}, "nmae": 1, "other": null})");
  Problems problems;
  JsonFields fields(json, "file", "", problems);
  CHECK(fields.text("name") == "x");
  CHECK_FALSE(fields.integer("size", 1, 9));
  CHECK_FALSE(fields.number("absent"));
  CHECK_FALSE(fields.map("inner")->boolean("flag"));
  fields.report_unknown();
  CHECK(problems.all() ==
        std::vector<std::string>{
            "file: size: must be a whole number from 1 to 9, not 5.0",
            "file: inner.flag: must be true or false, not 1",
            "file: nmae: unknown key; is name meant? Zebra cannot tell whether it changes the "
            "model; remove it if it does not"});
  CHECK_FALSE(fields.sound({"name", "size"}));
}

TEST_CASE("unknown keys that are off may pass, and are named") {
  const auto json =
      nlohmann::json::parse(R"({"z": null, "on": true, "off": false, "zero": 0, "asked": false})");
  Problems problems;
  JsonFields fields(json, "file", "", problems);
  CHECK(fields.boolean("asked") == false);
  CHECK(fields.pass_unknown_that_are_off() == std::vector<std::string>{"off", "z"});
  CHECK(fields.pass_unknown_that_are_off().empty());
  fields.report_unknown();
  REQUIRE(problems.all().size() == 2);
  CHECK(problems.all()[0].starts_with("file: on: unknown key"));
  CHECK(problems.all()[1].starts_with("file: zero: unknown key"));
}

TEST_CASE("what a reader refuses is collected") {
  Problems problems;
  problems.collect([] {});
  CHECK(problems.empty());
  problems.collect([] { throw InputError("one"); });
  CHECK(problems.all() == std::vector<std::string>{"one"});
  CHECK_THROWS_AS(problems.collect([] { throw RunError("two"); }), RunError);
}

TEST_CASE("what is no UTF-8 is told, and written as U+FFFD") {
  REQUIRE(is_utf8("caf\u00e9 \U0001f993"));
  REQUIRE(is_utf8(""));
  for (const char* text : {"caf\xe9", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3"})
    REQUIRE_FALSE(is_utf8(text));
  REQUIRE(json_text({{"path", "caf\xe9"}}) == "{\"path\":\"caf\xef\xbf\xbd\"}\n");
  REQUIRE(shown(std::string("caf\xe9")) == "\"caf\\ufffd\"");
}

}  // namespace
}  // namespace zebra
