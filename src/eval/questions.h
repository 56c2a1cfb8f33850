#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace zebra {

/// A question that has one right answer.
struct Question {
  std::string prompt;
  std::string answer;                   ///< one line, without white space around it
  std::string kind;                     ///< empty where its line names none
  std::optional<std::size_t> evidence;  ///< byte of the prompt at which what is needed begins
  std::map<std::string, std::string> guesses;  ///< what each key-blind strategy would answer
};

/// Reads lines of JSONL that hold "prompt" and "completion", and may hold "kind", "evidence" and
/// "guesses", as scripts/synthetic_qa.py writes them. `path` may be compressed, or "-" for standard
/// input. Throws InputError, with the number of each bad line, or where there is no question.
std::vector<Question> read_questions(const std::string& path);

}  // namespace zebra
