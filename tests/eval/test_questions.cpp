#include "eval/questions.h"

#include "base/error.h"
#include "base/file.h"
#include "support/catch.h"
#include "support/temporary_folder.h"
#include "support/text.h"

namespace zebra {
namespace {

using namespace zebra::testing;

std::vector<Question> questions_of(const std::string& lines) {
  const TemporaryFolder folder;
  write_text(folder / "q.jsonl", lines);
  return read_questions((folder / "q.jsonl").string());
}

std::string refusal_of(const std::string& lines) {
  try {
    questions_of(lines);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("questions are read with what stands beside them") {
  const auto questions = questions_of(
      "{\"prompt\": \"a: 1\\nQ\", \"completion\": \" a: 1\\n\", \"kind\": \"key\", \"evidence\": 2,"
      " \"guesses\": {\"newest\": \"a: 1\", \"oldest\": \"b\"}, \"other\": [1]}\n"
      "\n"
      "{\"prompt\": \"\", \"completion\": \"c\"}");
  REQUIRE(questions.size() == 2);
  CHECK(questions[0].prompt == "a: 1\nQ");
  CHECK(questions[0].answer == "a: 1");
  CHECK(questions[0].kind == "key");
  CHECK(questions[0].evidence == 2U);
  CHECK(questions[0].guesses.at("oldest") == "b");
  CHECK(questions[1].kind.empty());
  CHECK_FALSE(questions[1].evidence.has_value());
  CHECK(questions[1].guesses.empty());
}

TEST_CASE("each bad line is named") {
  const auto message = refusal_of(
      "{\"prompt\": \"a\", \"completion\": \"b\"}\n"
      "{\"prompt\": \"a\"}\n"
      "{\"prompt\": \"a\", \"completion\": \" \"}\n"
      "{\"prompt\": \"a\", \"completion\": \"b\\nc\"}\n"
      "{\"prompt\": \"a\", \"completion\": \"b\", \"evidence\": 2}\n"
      "{\"prompt\": \"a\", \"completion\": \"b\", \"guesses\": {\"newest\": 1}}\n"
      "[]\n");
  CHECK_FALSE(contains(message, "line 1:"));
  CHECK(contains(message, "line 2: completion: is absent"));
  CHECK(contains(message, "line 3: completion: is empty"));
  CHECK(contains(message, "line 4: completion: has several lines"));
  CHECK(contains(message, "line 5: evidence: "));
  CHECK(contains(message, "line 6: guesses: "));
  CHECK(contains(message, "line 7: "));
}

TEST_CASE("a file of another kind is refused after some lines, and one without a question") {
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "{\"text\": \"a\"}\n";
  CHECK_FALSE(contains(refusal_of(lines), "line 20:"));
  CHECK(contains(refusal_of("\n"), "holds no question"));
}

}  // namespace
}  // namespace zebra
