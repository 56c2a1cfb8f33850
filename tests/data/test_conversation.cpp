#include "data/conversation.h"

#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

Conversation conversation_in(const std::string& line) {
  const auto parsed = parse_conversation(line);
  const auto* problem = std::get_if<JsonLineProblem>(&parsed);
  INFO((problem != nullptr ? problem->reason : ""));
  REQUIRE(problem == nullptr);
  return std::get<Conversation>(parsed);
}

std::string fault_of(const std::string& line) {
  const auto parsed = parse_conversation(line);
  const auto* problem = std::get_if<JsonLineProblem>(&parsed);
  return problem == nullptr ? "none" : problem->reason;
}

/// "role(+|-)?:content|…", the sign where the message says whether it is trained.
std::string summary(const std::string& line) {
  std::string text;
  for (const auto& message : conversation_in(line).messages) {
    text += text.empty() ? "" : "|";
    text += message.role +
            (!message.train   ? ""
             : *message.train ? "+"
                              : "-") +
            ":" + message.content;
  }
  return text;
}

}  // namespace

TEST_CASE("Messages as most have them", "[data][conversation]") {
  CHECK(
      summary(R"({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"},
                    {"role": "assistant", "content": "A", "train": false}]})") ==
      "system:S|user:U|assistant-:A");
  CHECK(summary(R"({"conversation": [{"role": "user", "content": [{"type": "text", "text": "a"},
                    {"type": "text", "text": "b"}], "name": "x", "train": null}]})") == "user:ab");
  CHECK(summary(R"({"id": 7, "messages": [{"role": "user", "content": "U", "weight": 1},
                    {"role": "assistant", "content": "", "weight": 0}]})") ==
        "user+:U|assistant-:");
}

TEST_CASE("ShareGPT's names", "[data][conversation]") {
  CHECK(summary(R"({"system": "S", "tools": "", "conversations": [{"from": "human", "value": "U"},
                    {"from": "gpt", "value": "A"}, {"from": "user", "value": "V"}]})") ==
        "system:S|user:U|assistant:A|user:V");
}

TEST_CASE("Alpaca's names", "[data][conversation]") {
  CHECK(summary(R"({"instruction": "I", "input": "J", "output": "O"})") ==
        "user:I\n\nJ|assistant:O");
  CHECK(summary(R"({"instruction": "I", "input": "", "output": "O"})") == "user:I|assistant:O");
  CHECK(summary(R"({"system": "S", "instruction": "I", "output": "O"})") ==
        "system:S|user:I|assistant:O");
}

TEST_CASE("Half surrogates are told where they are in a text", "[data][conversation]") {
  const auto mended =
      conversation_in(R"({"messages": [{"role": "user", "content": "a\ud83d"}], "score": NaN})");
  CHECK(mended.messages[0].content == "a\xEF\xBF\xBD");
  CHECK(mended.half_surrogates);
  CHECK_FALSE(conversation_in(R"({"messages": [{"role": "user", "content": "a"}], "x": "\ud83d"})")
                  .half_surrogates);
}

TEST_CASE("What is no conversation is told", "[data][conversation]") {
  CHECK(contains(fault_of("{"), "is not valid JSON"));
  CHECK(contains(fault_of(R"({"text": "x"})"), "neither a list \"messages\""));
  CHECK(contains(fault_of(R"({"messages": "x"})"), "\"messages\" that is no list"));
  CHECK(contains(fault_of(R"({"messages": [{"role": "user", "content": "U"}, {"role": 3}]})"),
                 "message 2"));
  CHECK(contains(fault_of(R"({"messages": [{"role": "user", "content": null}]})"),
                 "\"content\" is no text"));
  CHECK(contains(fault_of(R"({"messages": [{"role": "user", "content": "", "train": 1}]})"),
                 "neither true nor false"));
  CHECK(contains(fault_of(R"({"messages": [{"role": "user", "content": "", "weight": 0.5}]})"),
                 "neither 0 nor 1"));
  CHECK(contains(fault_of(R"({"messages": [{"role": "user", "content": [{"type": "image"}]}]})"),
                 "scripts/chat_to_tokens.py"));
  CHECK(contains(
      fault_of(R"({"messages": [{"role": "assistant", "content": null, "tool_calls": [1]}]})"),
      "tool_calls"));
  CHECK(contains(
      fault_of(R"({"messages": [{"role": "assistant", "content": null, "tool_calls": [1]}]})"),
      "scripts/chat_to_tokens.py"));
  CHECK(contains(fault_of(R"({"tools": [{"name": "f"}], "messages": []})"), "\"tools\""));
  CHECK(contains(fault_of(R"({"instruction": "I", "output": 4})"), "\"output\" that is no text"));
}
