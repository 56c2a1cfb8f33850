#include "eval/questions.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json_reader.h"
#include "data/input_stream.h"

namespace zebra {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20;
constexpr std::size_t kMostProblems = 10;  // a file of another kind has one on each line

constexpr const char* kWhiteSpace = " \t\r\n";

std::string stripped(const std::string& text) {
  const auto begin = text.find_first_not_of(kWhiteSpace);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kWhiteSpace) + 1 - begin);
}

void read_guesses(JsonFields& fields, Question& question) {
  const auto* guesses = fields.find("guesses");
  if (guesses == nullptr) return;
  const bool is_sound = guesses->is_object() && std::ranges::all_of(*guesses, [](const auto& of) {
                          return of.is_string();
                        });
  if (!is_sound) {
    fields.problem("guesses", "must be an object of strings: a guess for each strategy");
    return;
  }
  for (const auto& [strategy, guess] : guesses->items())
    question.guesses[strategy] = stripped(guess.get<std::string>());
}

// Reads a line; what is wrong with it becomes a problem.
Question question_of(const std::string& line, const std::string& where, Problems& problems) {
  Question question;
  if (const auto fault = json_object_fault(line); !fault.empty()) {
    problems.add(where + ": " + fault);
    return question;
  }
  const auto object = nlohmann::json::parse(line);
  JsonFields fields(object, where, "", problems);
  const auto prompt = fields.text("prompt");
  const auto answer = fields.text("completion");
  for (const char* key : {"prompt", "completion"}) {
    if (!fields.given(key))
      fields.problem(key, "is absent: a question has a \"prompt\" and a \"completion\"");
  }
  question.prompt = prompt.value_or("");
  question.answer = stripped(answer.value_or(""));
  if (answer && question.answer.empty()) fields.problem("completion", "is empty");
  if (question.answer.find('\n') != std::string::npos)
    fields.problem("completion", "has several lines; an exact answer is one line");
  question.kind = fields.text("kind").value_or("");
  if (const auto evidence =
          fields.integer("evidence", 0, static_cast<std::int64_t>(question.prompt.size())))
    question.evidence = static_cast<std::size_t>(*evidence);
  read_guesses(fields, question);
  return question;
}

std::string text_of(const std::string& path) {
  InputStream stream(path);
  std::string text;
  while (stream.append_to(text, kReadBytes) == kReadBytes) {
  }
  return text;
}

}  // namespace

std::vector<Question> read_questions(const std::string& path) {
  const std::string text = text_of(path);
  Problems problems;
  std::vector<Question> questions;
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < text.size() && problems.all().size() < kMostProblems;) {
    const auto end = std::min(text.find('\n', begin), text.size());
    const auto line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(kWhiteSpace) == std::string::npos) continue;
    const auto where = input_name(path) + ", line " + std::to_string(number);
    questions.push_back(question_of(line, where, problems));
  }
  if (questions.empty()) problems.add(input_name(path) + ": holds no question");
  problems.throw_if_any();
  return questions;
}

}  // namespace zebra
