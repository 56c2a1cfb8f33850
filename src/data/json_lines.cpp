#include "data/json_lines.h"

#include <algorithm>
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
constexpr std::size_t kDeepestNameShown = 3;

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

/// Reads a line as it comes and keeps what stands in the wanted fields: what nobody reads takes no
/// memory.
class WantedFields : public nlohmann::json_sax<nlohmann::json> {
 public:
  struct Found {
    std::size_t keys = 0;             // on the way to it; 0: it is not there
    std::optional<std::string> text;  // nothing where it is no string
  };

  /// With `names` it also collects the names that --field could choose.
  explicit WantedFields(std::string wanted, std::vector<std::string>* names = nullptr)
      : wanted_(std::move(wanted)),
        names_(names),
        deepest_(std::max(static_cast<std::size_t>(std::ranges::count(wanted_, '.')) + 1,
                          kDeepestNameShown)) {}

  bool is_object() const { return is_object_; }
  const std::string& fault() const { return fault_; }
  Found field, prompt, completion;

  bool null() override { return take(nullptr); }
  bool boolean(bool) override { return take(nullptr); }
  bool number_integer(std::int64_t) override { return take(nullptr); }
  bool number_unsigned(std::uint64_t) override { return take(nullptr); }
  bool number_float(double, const std::string&) override { return take(nullptr); }
  bool binary(nlohmann::json::binary_t&) override { return take(nullptr); }
  bool string(std::string& text) override { return take(&text); }

  bool start_object(std::size_t) override {
    is_object_ = is_object_ || depth_ == 0;
    const bool is_followed = depth_ == followed_ && depth_ < deepest_;
    if (depth_ > 0) take(nullptr, /*is_object=*/is_followed);
    ++depth_;
    if (is_followed) followed_ = depth_;
    return true;
  }
  bool key(std::string& name) override {
    if (depth_ != followed_) return true;
    keys_.resize(followed_ - 1);
    keys_.push_back(name);
    return true;
  }
  bool end_object() override {
    if (followed_ == depth_) keys_.resize(std::min(keys_.size(), --followed_));
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    take(nullptr);
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::json::exception& error) override {
    fault_ = cause_of(error);
    return false;
  }

 private:
  /// Of the value that begins: its text where it is a string.
  bool take(std::string* text, bool is_object = false) {
    if (depth_ == 0 || depth_ != followed_) return true;
    if (is_named(wanted_)) {
      keep(field, text);
    } else if (keys_.size() == 1 && keys_[0] == kPromptField) {
      keep(prompt, text);
    } else if (keys_.size() == 1 && keys_[0] == kCompletionField) {
      keep(completion, text);
    }
    // An object stands as the names within it.
    if (names_ != nullptr && !(is_object && depth_ < kDeepestNameShown)) add_name();
    return true;
  }

  /// Of several the one with the fewest keys on its way counts, of those the last.
  void keep(Found& found, std::string* text) {
    if (found.keys != 0 && found.keys < keys_.size()) return;
    found.keys = keys_.size();
    found.text = text == nullptr ? std::nullopt : std::optional(std::move(*text));
  }

  /// Whether the keys on the way, with dots between them, are `name`.
  bool is_named(std::string_view name) const {
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (i > 0 && !name.starts_with('.')) return false;
      if (i > 0) name.remove_prefix(1);
      if (!name.starts_with(keys_[i])) return false;
      name.remove_prefix(keys_[i].size());
    }
    return name.empty();
  }

  void add_name() {
    if (names_->size() > kMostNamesShown) return;
    names_->push_back(names_->size() < kMostNamesShown ? quoted_text(join(keys_, ".")) : "…");
  }

  std::string wanted_;
  std::vector<std::string>* names_;
  std::size_t deepest_;
  bool is_object_ = false;
  std::string fault_;
  std::size_t depth_ = 0;          // of the objects and arrays that are open
  std::size_t followed_ = 0;       // of these so many are objects within objects, not too deep
  std::vector<std::string> keys_;  // the last one of each of those, where there is one
};

std::string missing_field(std::string_view line, const std::string& field) {
  std::vector<std::string> names;
  WantedFields reader(field, &names);
  nlohmann::json::sax_parse(line, &reader);
  return "has neither the field " + quoted_text(field) +
         " nor the pair \"prompt\" and \"completion\"; " +
         (names.empty() ? "it has no field at all"
                        : "its fields are " + join(names, ", ") + " (choose one with --field)");
}

/// Whether what was half a surrogate pair may stand in the text.
bool has_replacement(const std::string& text) {
  return text.find("\xEF\xBF\xBD") != std::string::npos;
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
  WantedFields found(field);
  MendedLine mended_line;
  if (!nlohmann::json::sax_parse(line, &found)) {
    mended_line = mended(line);
    line = mended_line.text;
    found = WantedFields(field);
    if (!nlohmann::json::sax_parse(line, &found)) {
      return JsonLineProblem{"is not valid JSON in UTF-8 (" + found.fault() + ")"};
    }
  }
  if (!found.is_object()) return JsonLineProblem{"is valid JSON, but not an object {…}"};
  const bool half = mended_line.half_surrogates;
  if (found.field.keys > 0) {
    auto& text = found.field.text;
    if (!text)
      return JsonLineProblem{"has a field " + quoted_text(field) + " that is not a string"};
    const bool counts = half && has_replacement(*text);
    return JsonDocument{std::nullopt, std::move(*text), counts};
  }
  auto &prompt = found.prompt, &completion = found.completion;
  if (prompt.keys == 0 || completion.keys == 0) return JsonLineProblem{missing_field(line, field)};
  if (!prompt.text || !completion.text) {
    return JsonLineProblem{"has a \"prompt\" or \"completion\" that is not a string"};
  }
  const bool counts = half && (has_replacement(*prompt.text) || has_replacement(*completion.text));
  return JsonDocument{std::move(prompt.text), std::move(*completion.text), counts};
}

}  // namespace zebra
