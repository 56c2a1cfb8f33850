#pragma once

#include <nlohmann/json.hpp>
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
  bool half_surrogates = false;  // within became U+FFFD
};

/// Why a line is no document, as the end of a sentence that begins with the file and the line.
struct JsonLineProblem {
  std::string reason;
};

/// The object that a line of a JSONL file holds.
struct JsonObjectLine {
  nlohmann::json object;
  bool half_surrogates = false;  // within became U+FFFD
};

/// What Python's json writes beyond JSON (NaN, Infinity, half a surrogate pair) and numbers too
/// large for a double are no problem in fields that nobody reads; a half surrogate in a text
/// becomes U+FFFD.
std::variant<JsonObjectLine, JsonLineProblem> parse_json_object(std::string_view line);

/// The document that one line of a JSONL file holds: its string `field`, or, without that field,
/// its strings "prompt" and "completion".
std::variant<JsonDocument, JsonLineProblem> parse_json_line(std::string_view line,
                                                            const std::string& field);

}  // namespace zebra
