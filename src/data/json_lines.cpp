#include "data/json_lines.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/json_reader.h"
#include "base/text.h"

namespace zebra {
namespace {

constexpr const char* kPromptField = "prompt";
constexpr const char* kCompletionField = "completion";
constexpr std::size_t kMostNamesShown = 20;

// A line is mended in place, every replacement being as long as what it replaces: a message about
// what is wrong beside it then tells the right byte.
struct MendedLine {
  std::string text;
  bool half_surrogates = false;
};

/// The code unit of the escape \uXXXX at `at`; nothing when there is none.
std::optional<unsigned> escaped_unit(std::string_view text, std::size_t at) {
  if (!text.substr(at).starts_with("\\u") || text.size() < at + 6) return std::nullopt;
  unsigned unit = 0;
  const char* const end = text.data() + at + 6;
  const auto [parsed, error] = std::from_chars(end - 4, end, unit, 16);
  return parsed == end && error == std::errc() ? std::optional(unit) : std::nullopt;
}

/// Mends the string whose characters begin at `at`; returns the place behind its closing quote.
std::size_t mend_string(MendedLine& line, std::size_t at) {
  std::string& text = line.text;
  while (at < text.size() && text[at] != '"') {
    if (text[at] != '\\') {
      ++at;
      continue;
    }
    const auto unit = escaped_unit(text, at);
    const bool is_surrogate = unit && *unit >= 0xD800 && *unit < 0xE000;
    const auto next = is_surrogate && *unit < 0xDC00 ? escaped_unit(text, at + 6) : std::nullopt;
    if (next && *next >= 0xDC00 && *next < 0xE000) {
      at += 12;
    } else if (is_surrogate) {
      text.replace(at + 2, 4, "fffd");
      line.half_surrogates = true;
      at += 6;
    } else {
      at += 2;
    }
  }
  return at + 1;
}

bool is_beyond_json(std::string_view word) {
  if (word == "NaN" || word == "Infinity" || word == "-Infinity") return true;
  double value = 0;
  const auto end = word.data() + word.size();
  const auto [parsed, error] = std::from_chars(word.data(), end, value);
  return parsed == end && error == std::errc::result_out_of_range;
}

MendedLine mended(std::string_view original) {
  constexpr std::string_view kWord =
      "+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  MendedLine line{std::string(original)};
  std::string& text = line.text;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_not_of(kWord, at), text.size());
    if (end > at && is_beyond_json(std::string_view(text).substr(at, end - at))) {
      text.replace(at, end - at, "0" + std::string(end - at - 1, ' '));  // nobody reads it
    }
    at = end < text.size() && text[end] == '"' ? mend_string(line, end + 1) : end + 1;
  }
  return line;
}

std::string cause_of(const nlohmann::json::exception& error) {
  const std::string message = error.what();  // "[…] parse error at line 1, column 8: WHAT; last …"
  const std::size_t column = message.find("column ");
  const std::size_t begin = message.find(": ", column == std::string::npos ? 0 : column);
  const std::string cause = begin == std::string::npos ? message : message.substr(begin + 2);
  const auto* parse_error = dynamic_cast<const nlohmann::json::parse_error*>(&error);
  return (parse_error == nullptr ? "" : "at byte " + std::to_string(parse_error->byte) + ": ") +
         cause.substr(0, cause.find("; last read"));
}

std::string missing_field(const nlohmann::json& object, const std::string& field) {
  std::vector<std::string> names;
  for (const auto& item : object.items()) {
    names.push_back(names.size() < kMostNamesShown ? quoted_text(item.key()) : "…");
    if (names.size() > kMostNamesShown) break;
  }
  return "has neither the field " + quoted_text(field) +
         " nor the pair \"prompt\" and \"completion\"; " +
         (names.empty() ? "it has no field at all"
                        : "its fields are " + join(names, ", ") + " (choose one with --field)");
}

/// The string in a field of `object`, or nullptr.
std::string* string_field(nlohmann::json& object, const std::string& name) {
  const auto item = object.find(name);
  return item == object.end() ? nullptr : item->get_ptr<std::string*>();
}

}  // namespace

std::variant<JsonObjectLine, JsonLineProblem> parse_json_object(std::string_view line) {
  JsonObjectLine parsed;
  try {
    parsed.object = nlohmann::json::parse(line);
  } catch (const nlohmann::json::exception&) {
    const MendedLine mended_line = mended(line);
    parsed.half_surrogates = mended_line.half_surrogates;
    try {
      parsed.object = nlohmann::json::parse(mended_line.text);
    } catch (const nlohmann::json::exception& error) {
      return JsonLineProblem{"is not valid JSON in UTF-8 (" + cause_of(error) + ")"};
    }
  }
  if (!parsed.object.is_object()) return JsonLineProblem{"is valid JSON, but not an object {…}"};
  return parsed;
}

std::variant<JsonDocument, JsonLineProblem> parse_json_line(std::string_view line,
                                                            const std::string& field) {
  auto parsed = parse_json_object(line);
  if (auto* problem = std::get_if<JsonLineProblem>(&parsed)) return std::move(*problem);
  auto& [object, half_surrogates] = std::get<JsonObjectLine>(parsed);
  const auto document = [&](std::optional<std::string> prompt, std::string text) {
    const auto is_mended = [&](const std::string& part) {
      return half_surrogates && part.find("\xEF\xBF\xBD") != std::string::npos;
    };
    const bool counts = is_mended(text) || is_mended(prompt.value_or(""));
    return JsonDocument{std::move(prompt), std::move(text), counts};
  };
  if (object.contains(field)) {
    if (std::string* text = string_field(object, field)) {
      return document(std::nullopt, std::move(*text));
    }
    return JsonLineProblem{"has a field " + quoted_text(field) + " that is not a string"};
  }
  if (!object.contains(kPromptField) || !object.contains(kCompletionField)) {
    return JsonLineProblem{missing_field(object, field)};
  }
  std::string* prompt = string_field(object, kPromptField);
  std::string* completion = string_field(object, kCompletionField);
  if (prompt == nullptr || completion == nullptr) {
    return JsonLineProblem{"has a \"prompt\" or \"completion\" that is not a string"};
  }
  return document(std::move(*prompt), std::move(*completion));
}

}  // namespace zebra
