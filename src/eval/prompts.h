#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zebra {

// Prompts that people write into files. `path` is a file, compressed ones by gzip or Zstandard
// included, or kStandardInput.

/// More text than any prompt has.
inline constexpr std::size_t kLongestPromptBytes = std::size_t{16} << 20;
/// Of all prompts of a file, which are held in memory.
inline constexpr std::size_t kLongestPromptsBytes = std::size_t{1} << 30;

/// The text of a file: without a byte order mark, and without one line end at its end, which
/// editors and `echo` put there. Throws InputError when it cannot be read, is empty, too long, or
/// no UTF-8.
std::string read_prompt(const std::string& path);

/// One line of a JSONL file.
struct PromptLine {
  std::int64_t line;  ///< in the file, from 1
  std::string prompt;
  std::optional<std::int64_t> seed;
  nlohmann::ordered_json fields;  ///< all that it holds
};

/// What became of the prompt of a line.
struct PromptAnswer {
  std::string completion, finish_reason;
  std::int64_t prompt_tokens = 0;      ///< that the model has read, BOS included
  std::int64_t completion_tokens = 0;  ///< that it has written, those of a stop string included
};

/// The lines of a JSONL file, blank ones left out: objects with the string "prompt", perhaps the
/// whole number "seed", and any fields besides, but for those that answers have. Throws one
/// InputError for all lines that are none; of many it shows the first.
std::vector<PromptLine> read_prompts(const std::string& path);

/// The line with its answer: its fields as they were, then those of PromptAnswer by their names
/// here. Ends in a newline.
std::string answered_line(const PromptLine& prompt, const PromptAnswer& answer);

}  // namespace zebra
