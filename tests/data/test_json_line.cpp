#include "data/json_line.h"

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
