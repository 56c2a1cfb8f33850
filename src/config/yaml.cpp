#include "config/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "config/value.h"
#include "config/yaml_fault.h"

namespace zebra {
namespace {

constexpr std::int64_t kMostValues = 100'000;  // a sweep of thousands of arms has fewer

/// Builds one document from the parser's events, which (unlike yaml-cpp's nodes) carry the line of
/// every key and alias.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string source, bool has_lines)
      : source_(std::move(source)), has_lines_(has_lines) {}

  Value take_root() {
    problems_.throw_if_any();
    return std::move(root_);
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark&, const std::string&) override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (expects_key()) complain(mark, "a key is missing before ':'");
    Value value;
    value.origin = origin(mark);
    finish_value(std::move(value), anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    if (expects_key()) {
      start_entry(text, mark, tag == "?" && text == "<<");
      if (anchor != 0) anchors_[anchor] = scalar(text, mark);
      return;
    }
    finish_value(scalar(text, mark), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) complain(mark, "an alias refers to the value that it stands in");
    if (found != anchors_.end()) count(count_values(found->second), origin(mark));
    Value value = found == anchors_.end() ? Value{} : found->second;
    value.origin = origin(mark);
    if (expects_key() && value.kind == Value::Kind::scalar) {
      start_entry(value.scalar, mark, false);
      return;
    }
    if (expects_key()) complain(mark, "a key must be plain text");
    finish_value(std::move(value), 0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    start_collection(Value::Kind::list, mark, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    start_collection(Value::Kind::map, mark, anchor);
  }
  void OnSequenceEnd() override { finish_collection(); }
  void OnMapEnd() override { finish_collection(); }

 private:
  struct Frame {
    Value value;
    YAML::anchor_t anchor = 0;
    std::string key;  // of the entry whose value comes next
    Origin key_origin;
    std::set<std::string> keys;  // so far
    bool has_key = false, is_merge = false, is_dropped = false;
    std::vector<Entry> merges;  // values of `<<`
  };

  Origin origin(const YAML::Mark& mark) const { return {source_, has_lines_ ? mark.line + 1 : 0}; }

  /// Goes on afterwards: the parser may find that the text is no YAML at all, which says more.
  void complain(const YAML::Mark& mark, const std::string& what) {
    problems_.add(origin(mark).text() + ": " + what);
  }

  Value scalar(const std::string& text, const YAML::Mark& mark) const {
    Value value;
    value.kind = Value::Kind::scalar;
    value.origin = origin(mark);
    value.scalar = text;
    return value;
  }

  bool expects_key() const {
    return !frames_.empty() && frames_.back().value.kind == Value::Kind::map &&
           !frames_.back().has_key;
  }

  std::string dotted_key() const {
    std::vector<std::string> parts;
    for (const Frame& frame : frames_) {
      if (frame.has_key) parts.push_back(frame.key);
    }
    return join(parts, ".");
  }

  void start_entry(const std::string& key, const YAML::Mark& mark, bool is_merge) {
    Frame& frame = frames_.back();
    frame.key = key;
    frame.key_origin = origin(mark);
    frame.has_key = true;
    frame.is_merge = is_merge;
    const bool merged_before = is_merge && !frame.merges.empty();
    const bool is_new = is_merge ? !merged_before : frame.keys.insert(key).second;
    frame.is_dropped = !is_new;
    if (!is_new) {
      const Entry* first = merged_before ? &frame.merges.front() : frame.value.find(key);
      problems_.add(frame.key_origin.text() + ": " + dotted_key() + ": given twice" +
                    (has_lines_ ? ", first on line " + std::to_string(first->origin.line) : "") +
                    "; keep one of them");
    }
  }

  void start_collection(Value::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (expects_key()) complain(mark, "a key must be plain text");
    Frame frame;
    frame.value.kind = kind;
    frame.value.origin = origin(mark);
    frame.anchor = anchor;
    frames_.push_back(std::move(frame));
  }

  void finish_collection() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    for (const Entry& entry : frame.merges) apply_merge(frame, entry.value, entry.origin);
    finish_value(std::move(frame.value), frame.anchor);
  }

  /// YAML's merge key: keys written out win over merged ones, earlier merged maps over later ones.
  void apply_merge(Frame& map, const Value& merged, const Origin& where) {
    if (merged.kind == Value::Kind::list) {
      for (const Value& item : merged.items) {
        if (item.kind == Value::Kind::list) {
          problems_.add(where.text() + ": <<: must be a map or a list of maps");
          return;
        }
        apply_merge(map, item, where);
      }
    } else if (merged.kind == Value::Kind::map) {
      for (const Entry& entry : merged.entries) {
        if (map.keys.insert(entry.key).second) map.value.entries.push_back(entry);
      }
    } else {
      problems_.add(where.text() + ": <<: must be a map or a list of maps");
    }
  }

  /// Aliases of aliases multiply: a few lines could stand for more than any memory holds.
  void count(std::int64_t values, const Origin& where) {
    values_ += values;
    if (values_ > kMostValues) {
      throw InputError(where.text() + ": the file stands for more than " +
                       with_commas(kMostValues) +
                       " values up to here, its aliases (*name) written out; use fewer");
    }
  }

  static std::int64_t count_values(const Value& value) {
    std::int64_t values = 1;
    for (const Value& item : value.items) values += count_values(item);
    for (const Entry& entry : value.entries) values += count_values(entry.value);
    return values;
  }

  void finish_value(Value value, YAML::anchor_t anchor) {
    count(1, value.origin);
    if (anchor != 0) anchors_[anchor] = value;
    if (frames_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.value.kind == Value::Kind::list) {
      frame.value.items.push_back(std::move(value));
      return;
    }
    if (!frame.has_key) {  // something that cannot be a key: its value is dropped
      frame.key.clear();
      frame.has_key = frame.is_dropped = true;
      return;
    }
    if (!frame.is_dropped) {
      auto& entries = frame.is_merge ? frame.merges : frame.value.entries;
      entries.push_back({frame.key, frame.key_origin, std::move(value)});
    }
    frame.has_key = false;
  }

  std::string source_;
  bool has_lines_;
  Value root_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Value> anchors_;
  std::int64_t values_ = 0;
  Problems problems_;
};

Value parse_document(const std::string& text, const std::string& source, bool has_lines) {
  TreeBuilder builder(source, has_lines);
  std::istringstream stream(text);
  try {
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder)) {
      TreeBuilder rest(source, has_lines);
      if (parser.HandleNextDocument(rest)) {
        throw InputError(source + ": holds more than one YAML document; keep one (no '---' lines)");
      }
    }
  } catch (const YAML::Exception& error) {
    const auto last_read = static_cast<std::size_t>(std::max(error.mark.line, 0));
    const auto [line, what] = explain_yaml_fault(text, last_read, error.msg);
    const Origin where{source, has_lines ? static_cast<int>(line) + 1 : 0};
    throw InputError(where.text() + ": not valid YAML: " + what);
  }
  return builder.take_root();
}

Value empty_map(const Origin& origin) {
  Value map;
  map.kind = Value::Kind::map;
  map.origin = origin;
  return map;
}

bool is_safe_plain(const std::string& text) {
  static constexpr std::string_view kTaken[] = {"null", "true", "false", "yes", "no",
                                                "on",   "off",  "y",     "n"};
  const auto is_letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  if (text.empty() || !(is_letter(text.front()) || text.front() == '/')) return false;
  const bool plain_characters = std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_./-").find(c) != std::string_view::npos;
  });
  std::string lower = text;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return plain_characters &&
         std::find(std::begin(kTaken), std::end(kTaken), lower) == std::end(kTaken);
}

std::string quoted(const std::string& text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      result += "\\x";
      result += kDigits[byte / 16];
      result += kDigits[byte % 16];
    } else {
      result += c;
    }
  }
  return result + '"';
}

}  // namespace

Value parse_yaml(const std::string& text, const std::string& source, bool has_lines) {
  Value root = parse_document(text, source, has_lines);
  if (root.kind == Value::Kind::null) return empty_map({source, 0});
  if (root.kind != Value::Kind::map) {
    throw InputError(root.origin.text() +
                     ": a run file is a map of sections (run, model, data, …)");
  }
  // They held anchors, which are resolved.
  std::erase_if(root.entries, [](const Entry& entry) { return entry.key.starts_with("x-"); });
  return root;
}

Value parse_override(const std::string& text) {
  const std::string source = "--set " + text;
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) {
    throw InputError(source + ": has no value; write --set section.key=value");
  }
  const std::string key = text.substr(0, equals);
  Value value = parse_document(text.substr(equals + 1), source, false);
  for (std::size_t end = key.size();;) {
    const std::size_t dot = end == 0 ? std::string::npos : key.rfind('.', end - 1);
    const std::size_t begin = dot == std::string::npos ? 0 : dot + 1;
    if (begin == end) {
      throw InputError(source + ": names no key; write --set section.key=value");
    }
    Value outer = empty_map({source, 0});
    outer.entries.push_back({key.substr(begin, end - begin), {source, 0}, std::move(value)});
    value = std::move(outer);
    if (dot == std::string::npos) return value;
    end = dot;
  }
}

std::string yaml_text(std::int64_t value) { return std::to_string(value); }

std::string yaml_text(double value) {
  std::string text = round_trip(value);
  const std::size_t exponent = text.find('e');
  if (text.find('.') == std::string::npos) {
    text.insert(exponent == std::string::npos ? text.size() : exponent, ".0");
  }
  return text;
}

std::string yaml_text(bool value) { return value ? "true" : "false"; }

std::string yaml_text(const std::string& value) {
  return is_safe_plain(value) ? value : quoted(escape_variables(value));
}

std::string yaml_text(const std::filesystem::path& value) { return yaml_text(value.string()); }

std::string yaml_text(const std::array<double, 2>& value) {
  return "[" + yaml_text(value[0]) + ", " + yaml_text(value[1]) + "]";
}

std::string yaml_text(const TrainingPoint& value) {
  return value.is_fraction() ? yaml_text(value.fraction) : yaml_text(value.step);
}

std::string one_line_yaml(const Value& value) {
  std::vector<std::string> parts;
  switch (value.kind) {
    case Value::Kind::null:
      return "null";
    case Value::Kind::scalar: {
      // Numbers and truth values need no quotes, since the reader asks each key for its type.
      const std::string text = expand_variables(value.scalar);
      const bool is_plain = number_from(text) || text == "true" || text == "false";
      return is_plain ? text : yaml_text(text);
    }
    case Value::Kind::list:
      for (const Value& item : value.items) parts.push_back(one_line_yaml(item));
      return "[" + join(parts, ", ") + "]";
    case Value::Kind::map:
      break;
  }
  for (const Entry& entry : value.entries) {
    parts.push_back(yaml_text(entry.key) + ": " + one_line_yaml(entry.value));
  }
  return "{" + join(parts, ", ") + "}";
}

}  // namespace zebra
