#include "config/read_fields.h"

#include <algorithm>

#include "base/json_reader.h"
#include "base/message.h"
#include "config/fields.h"
#include "config/value.h"

namespace zebra {
namespace {

std::string in_quotes(const std::string& text) { return "\"" + text + "\""; }

// What a name or a path must not hold: it ends up in terminals, scripts and reports.
constexpr const char* kControlCharacters = " has control characters; leave them out";

}  // namespace

bool ValueReader::read(const Value& value, std::int64_t& out) const {
  const auto text = scalar(value, "an integer");
  if (!text) return false;
  const auto number = integer_from(*text);
  if (!number) return refuse(in_quotes(*text) + " is not an integer");
  out = *number;
  return in_range(static_cast<double>(out), *text);
}

bool ValueReader::read(const Value& value, double& out) const {
  const auto text = scalar(value, "a number");
  if (!text) return false;
  const auto number = number_from(*text);
  if (!number) return refuse(in_quotes(*text) + " is not a finite number");
  out = *number;
  return in_range(out, *text);
}

bool ValueReader::read(const Value& value, bool& out) const {
  const auto text = scalar(value, "true or false");
  if (!text) return false;
  if (*text != "true" && *text != "false") {
    return refuse(in_quotes(*text) + " is not true or false");
  }
  out = *text == "true";
  return true;
}

bool ValueReader::read(const Value& value, std::string& out) const {
  const auto text = scalar(value, "text");
  if (!text) return false;
  if (text->empty()) return refuse("must not be empty");
  if (has_control_characters(*text)) return refuse(in_quotes(*text) + kControlCharacters);
  out = *text;
  return rules_.choices.empty() || is_choice(*text, rules_.choices);
}

bool ValueReader::read(const Value& value, std::filesystem::path& out) const {
  const auto text = scalar(value, "a path");
  if (!text) return false;
  if (text->empty()) return refuse("must not be empty");
  try {
    out = std::filesystem::absolute(expand_home(*text)).lexically_normal();
  } catch (const InputError& error) {
    return refuse(error.what());
  }
  if (has_control_characters(out.string())) return refuse(out.string() + kControlCharacters);
  if (!is_utf8(out.string()))
    return refuse(quoted_text(out.string()) +
                  " is not UTF-8, which the files of a run are; rename it");
  if (!out.has_filename() && out.has_relative_path()) out = out.parent_path();
  return true;
}

bool ValueReader::read(const Value& value, std::array<double, 2>& out) const {
  if (value.kind != Value::Kind::list || value.items.size() != out.size()) {
    return refuse("must be a list of two numbers, such as [0.9, 0.95]");
  }
  return read(value.items[0], out[0]) && read(value.items[1], out[1]);
}

bool ValueReader::read(const Value& value, TrainingPoint& out) const {
  const std::string expected =
      "a fraction of train.max_steps between 0 and 1, or a whole number of steps";
  const auto text = scalar(value, expected);
  if (!text) return false;
  const double number = number_from(*text).value_or(0.0);
  // "1.0" is as likely meant to be all of the training as to be one step.
  const bool is_all = number == 1.0 && text->find('.') != std::string::npos;
  if (const auto step = integer_from(*text); step && *step >= 1 && !is_all) {
    out = {0.0, *step};
  } else if (number > 0.0 && number < 1.0) {
    out = {number, 0};
  } else {
    return refuse("must be " + expected + ", not " + *text);
  }
  return true;
}

bool ValueReader::refuse(const std::string& what) const {
  report_.problem(key_, what);
  return false;
}

std::optional<std::string> ValueReader::scalar(const Value& value,
                                               const std::string& expected) const {
  if (value.kind != Value::Kind::scalar) {
    refuse("must be " + expected + ", not " + value.described());
    return std::nullopt;
  }
  try {
    return expand_variables(value.scalar);
  } catch (const InputError& error) {
    refuse(error.what());
    return std::nullopt;
  }
}

bool ValueReader::in_range(double value, const std::string& text) const {
  const auto violation = rules_.violation(value, text);
  return violation ? refuse(*violation) : true;
}

bool ValueReader::is_choice(const std::string& text,
                            const std::vector<std::string>& choices) const {
  if (std::find(choices.begin(), choices.end(), text) != choices.end()) return true;
  const std::string near = nearest_word(text, choices);
  return refuse(in_quotes(text) + " is not one of " + join(choices, ", ") +
                (near.empty() ? "" : "; did you mean " + near + "?"));
}

bool FieldReader::gives(const std::string& name) const {
  const Entry* entry = map_.find(name);
  return entry != nullptr && entry->value.kind != Value::Kind::null;
}

const Entry* FieldReader::find(const char* name, const Rules& rules) {
  const Entry* entry = map_.find(name);
  const std::string key = prefix_ + name, alternative = prefix_ + rules.alternative;
  if (gives(rules.alternative)) {
    if (gives(name)) {
      report_.problem(key, "and " + alternative +
                               " both say how long it is; remove one of them, or "
                               "leave it out with --set " +
                               key + "=");
    }
  } else if (entry == nullptr && rules.is_required && report_.sound({key})) {
    std::string hint = rules.required_hint.empty() ? "" : ", " + rules.required_hint;
    if (!rules.alternative.empty()) hint += ", or " + alternative;
    report_.problem(key, "missing, and it has no default; give it" + hint);
  }
  return entry;
}

bool FieldReader::is_left_to_default(const Entry& entry, const Rules& rules) {
  if (entry.value.kind != Value::Kind::null) return false;
  if (rules.default_note.empty() && !gives(rules.alternative)) {
    report_.problem(prefix_ + entry.key, "has no value; give one, or remove the key");
  }
  return true;
}

const std::vector<Value>* FieldReader::items_of(const char* name, const Rules& rules) {
  const Entry* entry = find(name, rules);
  if (entry == nullptr) return nullptr;
  const std::string key = prefix_ + name;
  if (entry->value.kind == Value::Kind::null && !rules.default_note.empty()) return nullptr;
  if (entry->value.kind != Value::Kind::list) {
    report_.problem(key, "must be a list of maps, such as [" + rules.example + "], not " +
                             entry->value.described());
    return nullptr;
  }
  if (rules.violation(static_cast<double>(entry->value.items.size()), "")) {
    report_.problem(key, "must not be an empty list");
  }
  return &entry->value.items;
}

bool FieldReader::is_element(const Value& item, const std::string& key, const std::string& list,
                             const Rules& rules) {
  if (item.kind == Value::Kind::map) return true;
  report_.problem(key, "must be a map, such as " + rules.example + ", not " + item.described());
  report_.mark_unsound(list);
  return false;
}

void read_fields(const Value& root, RunFile& config, Report& report) {
  FieldReader reader(root, "", report);
  describe(reader, config);
}

}  // namespace zebra
