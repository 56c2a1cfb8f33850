#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace zebra {

/// One document of a JSONL file: a text, or the pair of a prompt, whose tokens do not count as
/// targets, and its completion.
struct JsonDocument {
  std::optional<std::string> prompt;
  std::string text;
};

/// Why a line is no document, as the end of a sentence that begins with the file and the line.
struct JsonLineProblem {
  std::string reason;
};

/// The document that one line of a JSONL file holds: its string `field`, or, without that field,
/// its strings "prompt" and "completion".
std::variant<JsonDocument, JsonLineProblem> parse_json_line(std::string_view line,
                                                            const std::string& field);

}  // namespace zebra
