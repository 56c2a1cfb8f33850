#include "data/json_lines.h"

#include <string>

#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

JsonDocument document(const std::string& line, const std::string& field = "text") {
  auto parsed = parse_json_line(line, field);
  REQUIRE(std::holds_alternative<JsonDocument>(parsed));
  return std::get<JsonDocument>(parsed);
}

std::string problem(const std::string& line, const std::string& field = "text") {
  auto parsed = parse_json_line(line, field);
  REQUIRE(std::holds_alternative<JsonLineProblem>(parsed));
  return std::get<JsonLineProblem>(parsed).reason;
}

}  // namespace

TEST_CASE("A line of JSONL is the text of its field", "[data][jsonl]") {
  CHECK(document(R"({"id": 7, "text": "a\n\u00e9\u0000\ud83e\udd93", "meta": {"text": 1}})").text ==
        std::string("a\né\0🦓", 9));
  CHECK_FALSE(document(R"({"text": "a"})").prompt.has_value());
  CHECK(document(R"({"text": "a", "body": "b"})", "body").text == "b");
  CHECK(document(R"({"text": ""})").text.empty());
}

TEST_CASE("A dotted name is a field within others", "[data][jsonl]") {
  const std::string line =
      R"({"a": {"b": "in b", "c": {"d": "in d"}, "c.d": "in c.d"}, "a.b": "flat"})";
  CHECK(document(line, "a.b").text == "flat");
  CHECK(document(line, "a.c.d").text == "in c.d");
  CHECK(document(R"({"a": {"c": {"d": "in d"}}, "a.c": 3})", "a.c.d").text == "in d");
  CHECK(document(R"({"a": {"x": 1}, "a.b": {"c": "in a.b"}})", "a.b.c").text == "in a.b");
  CHECK(contains(problem(line, "a.c"), "\"a.c\" that is not a string"));
  for (const std::string field : {"a.x", "a.b.c", "a.", ".a", "a..b", "."}) {
    CAPTURE(field);
    CHECK(contains(problem(line, field), R"(are "a.b", "a.c.d", "a.c.d", "a.b" (choose)"));
  }
  CHECK(contains(problem(R"({"a": {"b": {"c": {"d": 1}}}, "e": 1})"), R"("a.b.c", "e" (choose)"));
}

TEST_CASE("Only objects within objects lead to a dotted name", "[data][jsonl]") {
  CHECK(contains(problem(R"({"a": [{"b": "x"}]})", "a.b"), R"(are "a" (choose)"));
  CHECK(contains(problem(R"([{"a": {"b": "x"}}])", "a.b"), "not an object"));
  CHECK(document(R"({"z": [[{"a": {"b": 1}}], {}], "y": {}, "a": {"c": [], "b": "x"}})", "a.b")
            .text == "x");
  CHECK(document(R"({"text": "first", "text": "second"})").text == "second");
  CHECK(document(R"({"prompt": "p", "completion": "c"})", "prompt").text == "p");
  CHECK(contains(problem(R"({"meta": {"prompt": "p", "completion": "c"}})"), "neither"));
}

TEST_CASE("A prompt and completion pair stands in for a missing field", "[data][jsonl]") {
  const auto pair = document(R"({"prompt": "2+2=", "completion": "4"})");
  CHECK(pair.prompt == "2+2=");
  CHECK(pair.text == "4");
  const auto text = document(R"({"prompt": "2+2=", "completion": "4", "text": "all"})");
  CHECK_FALSE(text.prompt.has_value());
  CHECK(text.text == "all");
}

TEST_CASE("What is no document is explained", "[data][jsonl]") {
  CHECK(contains(problem(R"({"text": "a)"), "not valid JSON"));
  CHECK(contains(problem("{\"text\": \"\xFF\"}"), "not valid JSON"));
  CHECK(contains(problem(R"({"text": "a"} {"text": "b"})"), "not valid JSON"));
  CHECK(contains(problem("[1, 2]"), "not an object"));
  CHECK(contains(problem(R"({"body": "a", "id": 3})"), R"("body", "id")"));
  CHECK(contains(problem(R"({"body": "a"})"), "--field"));
  CHECK(contains(problem("{}"), "no field at all"));
  CHECK(contains(problem(R"({"text": 3})"), "\"text\" that is not a string"));
  CHECK(contains(problem(R"({"text": null})"), "not a string"));
  CHECK(contains(problem(R"({"prompt": "a"})"), "neither"));
  CHECK(contains(problem(R"({"prompt": "a", "completion": 4})"), "not a string"));
}

TEST_CASE("What Python writes beyond JSON is no problem in fields that nobody reads",
          "[data][jsonl]") {
  for (const std::string value :
       {"NaN", "Infinity", "-Infinity", "1e999", "-1E+400", "[NaN, {\"NaN\": 1e999}]",
        "123456789012345678901234567890", "\"\\ud83d\"", "\"NaN\"", "\"a \\\\ud83d \\\" NaN\""}) {
    CAPTURE(value);
    const auto read = document("{\"score\": " + value + ", \"text\": \"fine NaN 1e999\"}");
    CHECK(read.text == "fine NaN 1e999");
    CHECK_FALSE(read.half_surrogates);
  }
  CHECK(document(R"({"\ud83d": 1, "text": "fine"})").text == "fine");
  CHECK(contains(problem(R"({"text": NaN})"), "not a string"));
  for (const std::string value : {"nan", "NaNs", "1e9999x", "01", "tru"}) {
    CAPTURE(value);
    CHECK(contains(problem("{\"score\": " + value + ", \"text\": \"a\"}"), "not valid JSON"));
  }
  CHECK(document("{\"tree\": " + std::string(100000, '[') + std::string(100000, ']') +
                 ", \"text\": \"deep\"}")
            .text == "deep");
}

TEST_CASE("Half a surrogate pair in a text becomes U+FFFD and is told", "[data][jsonl]") {
  const auto read = document(R"({"text": "half \ud83d and \udd93, whole \ud83e\udd93 \\ud83d"})");
  CHECK(read.text == "half \xEF\xBF\xBD and \xEF\xBF\xBD, whole 🦓 \\ud83d");
  CHECK(read.half_surrogates);
  CHECK(document(R"({"text": "\ud83d\ud83e\udd93"})").text == "\xEF\xBF\xBD🦓");
  CHECK(document(R"({"prompt": "\ud83d", "completion": "a"})").half_surrogates);
  CHECK_FALSE(document(R"({"text": "\ufffd"})").half_surrogates);
}

TEST_CASE("The message about a bad line names the cause and its byte", "[data][jsonl]") {
  CHECK(contains(problem(R"({"text": "cut off)"), "at byte 18: "));
  CHECK(contains(problem(R"({"text": "cut off)"), "missing closing quote"));
  CHECK(contains(problem("{\"text\": \"a\tb\"}"), "control character U+0009"));
  CHECK(contains(problem("{\"text\": \"a\xFF\"}"), "UTF-8"));
  CHECK(contains(problem("{\"a\": NaN, \"text\": \"a\tb\"}"), "at byte 22: "));
  const auto escaped = problem("{\"a\\u001b[31m\": 1}");
  CHECK(escaped.find('\x1b') == std::string::npos);
  std::string many = "{\"field0\": 0";
  for (int i = 1; i < 1000; ++i) many += ", \"field" + std::to_string(i) + "\": 0";
  CHECK(problem(many + "}").size() < 1000);
}
