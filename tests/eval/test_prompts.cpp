#include "eval/prompts.h"

#include <string>

#include "base/error.h"
#include "data/data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

std::string refusal_of_prompts(const TempFolder& folder, const std::string& content) {
  const auto path = folder.write("p.jsonl", content);
  return message_of<InputError>([&] { read_prompts(path); });
}

}  // namespace

TEST_CASE("A prompt is the text of its file, but for one line end at its end", "[eval][prompts]") {
  const TempFolder folder;
  const auto read = [&](const std::string& content) {
    return read_prompt(folder.write("prompt.txt", content));
  };
  CHECK(read("def main") == "def main");
  CHECK(read(" a\n\tb \n") == " a\n\tb ");
  CHECK(read("a\r\n") == "a");
  CHECK(read("a\r") == "a\r");
  CHECK(read("a\n\n") == "a\n");
  CHECK(read("\xEF\xBB\xBF"
             "caf\xC3\xA9\n") == "caf\xC3\xA9");
  CHECK(read(gzip("packed\n")) == "packed");
  const auto refusal = [&](const std::string& content) {
    return message_of<InputError>([&] { read(content); });
  };
  CHECK(contains(refusal(""), "prompt.txt: is empty"));
  CHECK(contains(refusal("caf\xE9"), "prompt.txt: is no text in UTF-8"));
  CHECK(contains(refusal(std::string(kLongestPromptBytes + (1 << 21), 'a')), "holds more than"));
  CHECK(contains(message_of<InputError>([&] { read_prompt(folder.path().string()); }),
                 "cannot read it"));
}

TEST_CASE("A line keeps its fields, and gets those of its answer", "[eval][prompts]") {
  const TempFolder folder;
  const auto prompts = read_prompts(folder.write(
      "p.jsonl",
      "{\"id\": 7, \"prompt\": \"a\\nb\", \"z\": [1.5, null], \"a\": {\"é\": true}}\r\n"
      "\n"
      "  {\"prompt\": \"\", \"seed\": 18}"));
  REQUIRE(prompts.size() == 2);
  CHECK(prompts[0].line == 1);
  CHECK(prompts[0].prompt == "a\nb");
  CHECK_FALSE(prompts[0].seed.has_value());
  CHECK(prompts[1].line == 3);
  CHECK(prompts[1].prompt.empty());
  CHECK(prompts[1].seed == 18);
  CHECK(answered_line(prompts[0], {.completion = "\x7F\"é",
                                   .finish_reason = "stop",
                                   .prompt_tokens = 4,
                                   .completion_tokens = 2}) ==
        "{\"id\":7,\"prompt\":\"a\\nb\",\"z\":[1.5,null],\"a\":{\"é\":true},\"completion\":"
        "\"\x7F\\\"é\",\"finish_reason\":\"stop\",\"prompt_tokens\":4,\"completion_tokens\":2}\n");
}

TEST_CASE("All lines that are no prompts are told at once", "[eval][prompts]") {
  const TempFolder folder;
  const auto message = refusal_of_prompts(folder,
                                          "{\"prompt\": \"fine\"}\n"
                                          "not JSON\n"
                                          "{\"text\": \"x\"}\n"
                                          "{\"prompt\": [\"x\"]}\n"
                                          "{\"prompt\": \"x\", \"seed\": -1}\n"
                                          "{\"prompt\": \"x\", \"completion\": \"mine\"}\n"
                                          "{\"prompt\": \"x\", \"prompt\": \"y\"}\n");
  for (const char* part :
       {"p.jsonl:2: the line is no JSON object", "p.jsonl:3: the line has no field \"prompt\"",
        "p.jsonl:4: the line has a \"prompt\" that is not a string",
        "p.jsonl:5: the line has a \"seed\" that is not a whole number",
        "p.jsonl:6: the line has a field \"completion\"",
        "p.jsonl:7: the line is no JSON object"}) {
    INFO(part);
    CHECK(contains(message, part));
  }
  CHECK_FALSE(contains(message, "p.jsonl:1:"));
  CHECK(contains(refusal_of_prompts(folder, "\n \n"), "holds no line with a prompt"));
  std::string many;
  for (int i = 0; i < 2025; ++i) many += "x\n";
  const auto cut = refusal_of_prompts(folder, many);
  CHECK(contains(cut, "p.jsonl: so are 2,005 further lines"));
  CHECK_FALSE(contains(cut, "p.jsonl:21:"));
}
