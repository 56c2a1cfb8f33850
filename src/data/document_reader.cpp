#include "data/document_reader.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/error.h"

namespace zebra {
namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080;

unsigned byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

bool is_continuation(unsigned byte) { return (byte & 0xC0) == 0x80; }

/// Bytes of the well-formed character that `text` begins with; 0 when there is none.
std::size_t character_bytes(std::string_view text) {
  const unsigned lead = byte_at(text, 0);
  if (lead < 0x80) return 1;
  const std::size_t bytes = lead >= 0xC2 && lead < 0xE0   ? 2
                            : lead >= 0xE0 && lead < 0xF0 ? 3
                            : lead >= 0xF0 && lead < 0xF5 ? 4
                                                          : 0;
  if (bytes == 0 || text.size() < bytes) return 0;
  for (std::size_t i = 1; i < bytes; ++i) {
    if (!is_continuation(byte_at(text, i))) return 0;
  }
  const unsigned second = byte_at(text, 1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool surrogate = lead == 0xED && second >= 0xA0;
  const bool too_large = lead == 0xF4 && second >= 0x90;
  return overlong || surrogate || too_large ? 0 : bytes;
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    std::uint64_t word = 0;
    if (text.size() >= sizeof word) {
      std::memcpy(&word, text.data(), sizeof word);
      if ((word & kHighBits) == 0) {
        text.remove_prefix(sizeof word);
        continue;
      }
    }
    const std::size_t bytes = character_bytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::size_t character_boundary(std::string_view text, std::size_t position) {
  if (position == text.size()) return position;
  std::size_t start = position;
  while (start > 0 && position - start < 3 && is_continuation(byte_at(text, start))) --start;
  return character_bytes(text.substr(start)) > position - start ? start : position;
}

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

namespace {

constexpr std::size_t kFirstBlockBytes = std::size_t{64} << 10;
constexpr std::size_t kReadBytes = std::size_t{256} << 10;
constexpr std::string_view kWhiteSpace = " \t\r\n";

/// Length of the first piece of `text`; 0 when more text is needed to tell. The answer does not
/// depend on how much text beyond the piece is there already.
std::size_t first_piece(std::string_view text, bool is_all, const SegmentBytes& bytes) {
  if (text.size() <= bytes.preferred) return is_all ? text.size() : 0;
  const std::size_t before = text.rfind('\n', bytes.preferred - 1);
  if (before != std::string_view::npos) return before + 1;
  const std::size_t after = text.substr(0, bytes.longest).find('\n', bytes.preferred);
  if (after != std::string_view::npos) return after + 1;
  if (text.size() > bytes.longest) return character_boundary(text, bytes.longest);
  return is_all ? text.size() : 0;
}

bool is_jsonl_name(const std::string& path) {
  const std::string name = without_compression_suffix(path);
  const bool compressed = name.size() != path.size();
  return name.ends_with(".jsonl") || name.ends_with(".ndjson") ||
         (compressed && name.ends_with(".json"));
}

}  // namespace

DocumentReader::DocumentReader(DocumentReaderOptions options)
    : options_(std::move(options)), files_(list_input_files(options_.inputs, options_.extensions)) {
  skipped_.files_below_links = files_.below_links;
}

DocumentReader::~DocumentReader() = default;

std::uint64_t DocumentReader::bytes_read() const {
  return bytes_of_finished_files_ + (stream_ != nullptr ? stream_->bytes_read() : 0);
}

std::optional<Segment> DocumentReader::next() {
  for (;;) {
    if (!queue_.empty()) {
      Segment segment = std::move(queue_.front());
      queue_.pop_front();
      return segment;
    }
    if (stream_ == nullptr && !open_next_file()) return std::nullopt;
    if (jsonl_) {
      read_json_document();
    } else if (auto segment = next_of_text()) {
      return segment;
    }
  }
}

bool DocumentReader::open_next_file() {
  while (next_file_ < files_.files.size()) {
    const InputFile& file = files_.files[next_file_++];
    stream_ = std::make_unique<InputStream>(file.path);
    name_ = input_name(file.path);
    pending_.clear();
    ended_ = false;
    line_begin_ = 0;
    line_number_ = 0;
    inside_document_ = false;
    fill(kFirstBlockBytes);
    const bool binary = file.from_folder && pending_.find('\0') != std::string::npos;
    if (!binary) {
      jsonl_ = is_jsonl(file);
      return true;
    }
    ++skipped_.binary_files;
    bytes_of_finished_files_ += stream_->bytes_read();
    stream_.reset();
  }
  return false;
}

bool DocumentReader::is_jsonl(const InputFile& file) const {
  if (options_.format != InputFormat::automatic) return options_.format == InputFormat::jsonl;
  if (file.path != kStandardInput) return is_jsonl_name(file.path);
  const std::size_t first = pending_.find_first_not_of(kWhiteSpace);
  return first != std::string::npos && pending_[first] == '{';
}

void DocumentReader::fill(std::size_t bytes) {
  if (!ended_ && stream_->append_to(pending_, bytes) < bytes) ended_ = true;
}

std::optional<Segment> DocumentReader::next_of_text() {
  std::size_t length = first_piece(pending_, ended_, options_.segment_bytes);
  // A piece that takes everything read so far may be the last of its document: look one block on.
  while (!ended_ && (length == 0 || length == pending_.size())) {
    fill(kReadBytes);
    length = first_piece(pending_, ended_, options_.segment_bytes);
  }
  std::optional<Segment> segment;
  if (length > 0) {
    segment.emplace(Segment{pending_.substr(0, length), !inside_document_, false, true});
    pending_.erase(0, length);
    segment->ends_document = pending_.empty();
    inside_document_ = !segment->ends_document;
  } else {
    ++skipped_.empty_documents;
  }
  if (pending_.empty()) {
    bytes_of_finished_files_ += stream_->bytes_read();
    stream_.reset();
  }
  return segment;
}

std::optional<std::string> DocumentReader::next_line() {
  std::size_t end = pending_.find('\n', line_begin_);
  while (end == std::string::npos && !ended_) {
    pending_.erase(0, std::exchange(line_begin_, 0));
    const std::size_t searched = pending_.size();
    fill(kReadBytes);
    end = pending_.find('\n', searched);
  }
  if (end == std::string::npos) end = pending_.size();
  if (line_begin_ == pending_.size()) return std::nullopt;
  ++line_number_;
  std::string line = pending_.substr(line_begin_, end - line_begin_);
  line_begin_ = std::min(end + 1, pending_.size());
  return line;
}

void DocumentReader::read_json_document() {
  const auto line = next_line();
  if (!line) {
    bytes_of_finished_files_ += stream_->bytes_read();
    stream_.reset();
    return;
  }
  if (line->find_first_not_of(kWhiteSpace) == std::string::npos) return;
  auto parsed = parse_json_line(*line, options_.field);
  if (const auto* problem = std::get_if<JsonLineProblem>(&parsed)) {
    report_bad_line(problem->reason);
  } else {
    queue_document(std::move(std::get<JsonDocument>(parsed)));
  }
}

void DocumentReader::report_bad_line(const std::string& reason) {
  if (!options_.skip_bad_lines) {
    throw InputError(name_ + ":" + std::to_string(line_number_) + ": the line " + reason +
                     ". Mend it, or leave such lines out with --skip-bad-lines.");
  }
  ++skipped_.bad_lines;
}

void DocumentReader::queue_document(JsonDocument document) {
  if (document.text.empty() && document.prompt.value_or("").empty()) {
    ++skipped_.empty_documents;
    return;
  }
  if (document.prompt) queue_text(std::move(*document.prompt), false);
  queue_text(std::move(document.text), true);
  queue_.front().begins_document = true;
  queue_.back().ends_document = true;
}

void DocumentReader::queue_text(std::string text, bool counts_as_target) {
  std::string_view rest = text;
  do {
    const std::size_t length = first_piece(rest, true, options_.segment_bytes);
    queue_.push_back({std::string(rest.substr(0, length)), false, false, counts_as_target});
    rest.remove_prefix(length);
  } while (!rest.empty());
}

}  // namespace zebra
