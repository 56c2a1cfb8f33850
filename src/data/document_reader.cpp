#include "data/document_reader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/content_kind.h"
#include "data/utf8.h"

namespace zebra {
namespace {

constexpr std::size_t kFirstBlockBytes = std::size_t{64} << 10;
constexpr std::size_t kReadBytes = std::size_t{256} << 10;
constexpr std::size_t kLongestFirstLine = std::size_t{16} << 20;
constexpr std::string_view kWhiteSpace = " \t\r\n";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

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

/// The first characters that are no white space, up to two of them.
std::string first_marks(std::string_view text) {
  std::string marks;
  for (const char c : text) {
    if (kWhiteSpace.find(c) == std::string_view::npos) marks += c;
    if (marks.size() == 2) break;
  }
  return marks;
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
  skipped_.linked_files = files_.linked_files;
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
    if (pending_.starts_with(kByteOrderMark)) pending_.erase(0, kByteOrderMark.size());
    const std::string binary = binary_kind();
    if (binary.empty()) {
      jsonl_ = is_jsonl(file);
      return true;
    }
    if (!file.from_folder) throw InputError(name_ + ": " + binary);
    ++skipped_.binary_files;
    close_file();
  }
  return false;
}

void DocumentReader::close_file() {
  bytes_of_finished_files_ += stream_->bytes_read();
  stream_.reset();
}

std::string DocumentReader::binary_kind() const {
  const std::string known = known_binary_kind(pending_);
  return known.empty() && options_.format == InputFormat::automatic ? zero_byte_kind(pending_)
                                                                    : known;
}

bool DocumentReader::is_jsonl(const InputFile& file) {
  if (options_.format != InputFormat::automatic) return options_.format == InputFormat::jsonl;
  if (is_jsonl_name(file.path)) return true;
  const std::string marks = first_marks(pending_);
  if (marks.starts_with('{')) {
    if (file.is_stream) return true;
    const auto line = parse_json_line(first_line(), options_.field);
    if (std::holds_alternative<JsonDocument>(line)) return true;
  }
  const bool is_json_name = without_compression_suffix(file.path).ends_with(".json");
  const bool is_json = marks == "[{" || (is_json_name && (marks[0] == '{' || marks[0] == '['));
  if (file.from_folder || !is_json) return false;
  throw InputError(
      name_ +
      ": is JSON, but not one document a line; turn it into JSONL, such as "
      "with jq --compact-output '.[]' FILE, or give --format text to take it as it is");
}

/// The first line that is not blank, read as far as it is no longer than any that can be JSONL.
std::string DocumentReader::first_line() {
  const std::size_t begin = pending_.find_first_not_of(kWhiteSpace);
  while (pending_.find('\n', begin) == std::string::npos && !ended_ &&
         pending_.size() < kLongestFirstLine) {
    fill(kReadBytes);
  }
  return pending_.substr(begin, pending_.find('\n', begin) - begin);
}

void DocumentReader::fill(std::size_t bytes) {
  if (!ended_ && stream_->append_to(pending_, bytes) < bytes) ended_ = true;
}

/// Where the next `length` bytes are to be divided; 0: nowhere.
std::size_t DocumentReader::division_within(std::size_t length) const {
  const auto target = options_.divide_at;
  if (!target || divided_ || text_bytes_ + length < *target) return 0;
  const std::string_view piece = std::string_view(pending_).substr(0, length);
  const std::size_t wanted = *target > text_bytes_ ? *target - text_bytes_ : 0;
  std::size_t newline = wanted == 0 ? std::string::npos : piece.rfind('\n', wanted - 1);
  if (newline == std::string::npos) newline = piece.find('\n', wanted);
  return newline == std::string::npos ? 0 : newline + 1;
}

std::optional<Segment> DocumentReader::next_of_text() {
  std::size_t length = first_piece(pending_, ended_, options_.segment_bytes);
  // A piece that takes everything read so far may be the last of its document: look one block on.
  while (!ended_ && (length == 0 || length == pending_.size())) {
    fill(kReadBytes);
    length = first_piece(pending_, ended_, options_.segment_bytes);
  }
  if (length == 0) {
    ++skipped_.empty_documents;
    close_file();
    return std::nullopt;
  }
  const std::size_t division = division_within(length);
  if (division > 0) length = division;
  Segment segment{.text = pending_.substr(0, length),
                  .begins_document = !inside_document_,
                  .continues_text = inside_document_,
                  .behind_division = divided_};
  pending_.erase(0, length);
  text_bytes_ += length;
  divided_ = divided_ || division > 0;
  segment.ends_document = division > 0 || pending_.empty();
  inside_document_ = !segment.ends_document;
  if (pending_.empty()) close_file();
  return segment;
}

std::optional<std::string> DocumentReader::next_line() {
  std::size_t end = pending_.find('\n', line_begin_);
  while (end == std::string::npos && !ended_ &&
         pending_.size() - line_begin_ <= options_.max_line_bytes) {
    pending_.erase(0, std::exchange(line_begin_, 0));
    const std::size_t searched = pending_.size();
    fill(kReadBytes);
    end = pending_.find('\n', searched);
  }
  const bool is_whole = end != std::string::npos || ended_;
  if (end == std::string::npos) end = pending_.size();
  if (line_begin_ == pending_.size()) return std::nullopt;
  ++line_number_;
  const bool is_too_long = end - line_begin_ > options_.max_line_bytes;
  if (is_too_long) {
    report_bad_line("is longer than " + std::to_string(options_.max_line_bytes) +
                    " bytes, which --max-line-bytes can raise");
  }
  std::string line = is_too_long ? "" : pending_.substr(line_begin_, end - line_begin_);
  line_begin_ = std::min(end + 1, pending_.size());
  if (!is_whole) skip_rest_of_line();
  return line;
}

void DocumentReader::skip_rest_of_line() {
  std::size_t newline = std::string::npos;
  while (newline == std::string::npos && !ended_) {
    pending_.clear();
    fill(kReadBytes);
    newline = pending_.find('\n');
  }
  line_begin_ = newline == std::string::npos ? pending_.size() : newline + 1;
}

void DocumentReader::read_json_document() {
  const auto line = next_line();
  if (!line) {
    close_file();
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

std::optional<PlacedLine> DocumentReader::next_json_line() {
  while (stream_ != nullptr || open_next_file()) {
    auto line = next_line();
    if (!line) {
      close_file();
    } else if (line->find_first_not_of(kWhiteSpace) != std::string::npos) {
      return PlacedLine{std::move(*line), name_ + ":" + std::to_string(line_number_)};
    }
  }
  return std::nullopt;
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
  bool has_text = false;
  for (auto& segment : queue_) {
    segment.continues_text = has_text;
    segment.half_surrogates = document.half_surrogates;
    has_text = has_text || !segment.text.empty();
  }
  queue_.front().begins_document = true;
  queue_.back().ends_document = true;
}

void DocumentReader::queue_text(std::string text, bool counts_as_target) {
  std::string_view rest = text;
  do {
    const std::size_t length = first_piece(rest, true, options_.segment_bytes);
    queue_.push_back(
        {.text = std::string(rest.substr(0, length)), .counts_as_target = counts_as_target});
    rest.remove_prefix(length);
  } while (!rest.empty());
}

}  // namespace zebra
