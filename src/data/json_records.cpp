#include "data/json_records.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace zebra {
namespace {

constexpr std::size_t kRecordBlockBytes = std::size_t{256} << 10;
constexpr std::string_view kBlankInJson = " \t\r\n";

std::int64_t newlines_in(std::string_view text) { return std::ranges::count(text, '\n'); }

}  // namespace

std::size_t JsonElementScanner::find_end(std::string_view text, std::size_t from) {
  for (std::size_t at = from; at < text.size(); ++at) {
    const char c = text[at];
    if (inside_string_) {
      inside_string_ = escaped_ || c != '"';
      escaped_ = !escaped_ && c == '\\';
    } else if (depth_ == 0 && (c == ',' || c == ']')) {
      return at;
    } else if (c == '"') {
      inside_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && depth_ > 0) {
      --depth_;
    }
  }
  return std::string_view::npos;
}

JsonRecordReader::JsonRecordReader(InputStream& stream, std::string start, JsonLayout layout,
                                   std::uint64_t most_bytes, std::string name)
    : stream_(stream),
      name_(std::move(name)),
      layout_(layout),
      most_bytes_(most_bytes),
      pending_(std::move(start)) {
  if (layout == JsonLayout::lines) return;
  skip_to(pending_.find('[') + 1);
}

std::optional<JsonRecord> JsonRecordReader::next() {
  while (!ended_) {
    auto record = next_piece();
    if (!record) break;
    const std::size_t begin =
        std::min(record->text.find_first_not_of(kBlankInJson), record->text.size());
    if (begin == record->text.size() && !record->is_too_long) continue;
    if (layout_ == JsonLayout::array) {
      record->line += newlines_in(std::string_view(record->text).substr(0, begin));
      record->text.erase(0, begin);
    }
    return record;
  }
  return std::nullopt;
}

std::optional<JsonRecord> JsonRecordReader::next_piece() {
  if (std::exchange(inside_long_record_, false)) skip_rest();
  if (ended_) return std::nullopt;
  if (layout_ == JsonLayout::array) {
    skip_to(std::min(pending_.find_first_not_of(kBlankInJson, begin_), pending_.size()));
  }
  JsonRecord record;
  record.line = line_;
  std::size_t end = find_end(begin_);
  while (end == std::string::npos && !read_all_) {
    if (pending_.size() - begin_ > most_bytes_) {  // told at once: its end may be far away
      skip_to(pending_.size());
      record.is_too_long = inside_long_record_ = true;
      return record;
    }
    pending_.erase(0, std::exchange(begin_, 0));
    const std::size_t searched = pending_.size();
    fill();
    end = find_end(searched);
  }
  if (end == std::string::npos) {
    require_end();
    if (begin_ == pending_.size()) return std::nullopt;
    end = pending_.size();
  }
  record.is_too_long = end - begin_ > most_bytes_;
  if (!record.is_too_long && begin_ == 0) {  // a long one; it is not copied
    std::string rest = pending_.substr(end);
    skip_to(end);
    pending_.resize(end);
    record.text = std::exchange(pending_, std::move(rest));
    begin_ = end = 0;
  } else if (!record.is_too_long) {
    record.text = pending_.substr(begin_, end - begin_);
  }
  skip_end(end);
  return record;
}

/// Of a record that is too long.
void JsonRecordReader::skip_rest() {
  std::size_t end = std::string::npos;
  while (end == std::string::npos) {
    if (read_all_) return require_end();
    pending_.clear();
    begin_ = 0;
    fill();
    end = find_end(0);
    if (end == std::string::npos) skip_to(pending_.size());
  }
  skip_end(end);
}

/// Nothing is left to read.
void JsonRecordReader::require_end() {
  ended_ = true;
  if (layout_ == JsonLayout::lines) return;
  throw InputError(name_ + ": its JSON array does not end: the file is truncated; get it again");
}

/// Behind what ends the record at `end`.
void JsonRecordReader::skip_end(std::size_t end) {
  skip_to(std::min(end + 1, pending_.size()));
  if (layout_ == JsonLayout::array && pending_[begin_ - 1] == ']') end_array();
}

void JsonRecordReader::skip_to(std::size_t place) {
  line_ += newlines_in(std::string_view(pending_).substr(begin_, place - begin_));
  begin_ = place;
}

std::size_t JsonRecordReader::find_end(std::size_t from) {
  return layout_ == JsonLayout::lines ? pending_.find('\n', from)
                                      : scanner_.find_end(pending_, from);
}

void JsonRecordReader::fill() {
  read_all_ = stream_.append_to(pending_, kRecordBlockBytes) < kRecordBlockBytes;
}

/// What follows the bracket must be blank.
void JsonRecordReader::end_array() {
  ended_ = true;
  for (;;) {
    if (pending_.find_first_not_of(kBlankInJson, begin_) != std::string::npos) {
      throw InputError(name_ + ":" + std::to_string(line_) +
                       ": something follows the end of its JSON array; a file holds one array, or "
                       "one document a line");
    }
    if (read_all_) return;
    pending_.clear();
    begin_ = 0;
    fill();
  }
}

}  // namespace zebra
