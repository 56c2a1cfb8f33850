#include "data/json_line.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"

namespace zebra {
namespace {

constexpr const char* kPromptField = "prompt";
constexpr const char* kCompletionField = "completion";

std::string missing_field(const nlohmann::json& object, const std::string& field) {
  std::vector<std::string> names;
  for (const auto& item : object.items()) names.push_back('"' + item.key() + '"');
  return "has neither the field \"" + field + "\" nor the pair \"prompt\" and \"completion\"; " +
         (names.empty() ? "it has no field at all"
                        : "its fields are " + join(names, ", ") + " (choose one with --field)");
}

/// The string in a field of `object`, or nullptr.
std::string* string_field(nlohmann::json& object, const std::string& name) {
  const auto item = object.find(name);
  return item == object.end() ? nullptr : item->get_ptr<std::string*>();
}

}  // namespace

std::variant<JsonDocument, JsonLineProblem> parse_json_line(std::string_view line,
                                                            const std::string& field) {
  nlohmann::json object;
  try {
    object = nlohmann::json::parse(line);
  } catch (const nlohmann::json::parse_error& error) {
    return JsonLineProblem{"is not valid JSON in UTF-8 (at byte " + std::to_string(error.byte) +
                           ")"};
  }
  if (!object.is_object()) return JsonLineProblem{"is valid JSON, but not an object {…}"};
  if (object.contains(field)) {
    if (std::string* text = string_field(object, field)) {
      return JsonDocument{std::nullopt, std::move(*text)};
    }
    return JsonLineProblem{"has a field \"" + field + "\" that is not a string"};
  }
  if (!object.contains(kPromptField) || !object.contains(kCompletionField)) {
    return JsonLineProblem{missing_field(object, field)};
  }
  std::string* prompt = string_field(object, kPromptField);
  std::string* completion = string_field(object, kCompletionField);
  if (prompt == nullptr || completion == nullptr) {
    return JsonLineProblem{"has a \"prompt\" or \"completion\" that is not a string"};
  }
  return JsonDocument{std::move(*prompt), std::move(*completion)};
}

}  // namespace zebra
