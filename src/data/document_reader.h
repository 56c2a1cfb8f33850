#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/input_stream.h"
#include "data/json_lines.h"

namespace zebra {

/// `automatic`: JSONL by name (.jsonl, .ndjson, .json.gz, .json.zst, the first two also
/// compressed), or because the first line is an object that holds a document; of standard input and
/// pipes a leading brace is enough. Else text.
enum class InputFormat { automatic, text, jsonl };

/// Where long texts are cut: after the last newline within the first `preferred` bytes, else after
/// the next newline, else, at the latest after `longest` bytes, between two characters.
struct SegmentBytes {
  std::size_t preferred = std::size_t{256} << 10;
  std::size_t longest = std::size_t{1} << 20;
};

/// Longer lines of JSONL are bad ones: each is held in memory some four times.
inline constexpr std::uint64_t kMostLineBytes = std::uint64_t{64} << 20;

struct DocumentReaderOptions {
  std::vector<std::string> inputs;  // files, folders, or kStandardInput
  std::vector<std::string> extensions = {};
  InputFormat format = InputFormat::automatic;
  std::string field = "text";
  bool skip_bad_lines = false;
  std::uint64_t max_line_bytes = kMostLineBytes;
  SegmentBytes segment_bytes = {};

  /// Divides the text file in which the text of all inputs reaches so many bytes, at the last line
  /// end before or else the first one behind: what follows is a document of its own.
  std::optional<std::uint64_t> divide_at = {};
};

/// A piece of a document, or all of it.
struct Segment {
  std::string text;
  bool begins_document = false;
  bool ends_document = false;
  bool counts_as_target = true;  // false for the prompt of a prompt and completion pair
  bool continues_text = false;   // the document has text before it
  bool half_surrogates = false;  // within became U+FFFD
  bool behind_division = false;  // see DocumentReaderOptions::divide_at
};

/// A line of JSONL, and where it stands: "FILE:12".
struct PlacedLine {
  std::string text, place;
};

/// What was left out so far.
struct SkippedInput {
  std::int64_t binary_files = 0;     // found in folders; by their first 64 KiB
  std::int64_t linked_files = 0;     // below folders that are found in folders as links
  std::int64_t empty_documents = 0;  // they get no place in the output
  std::int64_t bad_lines = 0;
};

/// Turns files, folders and standard input into a stream of documents in pieces, in bounded memory
/// but for single lines of JSONL. A text file is one document, a line of JSONL is one document. A
/// byte order mark of UTF-8 at the start of a file is no part of its text.
class DocumentReader {
 public:
  /// Lists the inputs; throws the InputError of list_input_files.
  explicit DocumentReader(DocumentReaderOptions options);
  ~DocumentReader();

  /// The next piece, or nothing at the end. Throws InputError for a file that cannot be read or is
  /// damaged, for a named one that is no text, and for a bad line of JSONL unless those are
  /// skipped.
  std::optional<Segment> next();

  /// For lines that hold something else than documents, in the place of next(), with
  /// InputFormat::jsonl: the next line that is not blank, or nothing at the end. Throws like next()
  /// for lines that are too long.
  std::optional<PlacedLine> next_json_line();

  const SkippedInput& skipped() const { return skipped_; }

  /// Whether the document of the last piece is a line of JSONL.
  bool is_reading_lines() const { return jsonl_; }

  /// Progress in bytes as they lie on the disk; the total is 0 when it is unknown.
  std::uint64_t bytes_read() const;
  std::uint64_t bytes_total() const { return files_.bytes; }

 private:
  bool open_next_file();
  void close_file();
  std::string binary_kind() const;
  bool is_jsonl(const InputFile& file);
  std::string first_line();
  void fill(std::size_t bytes);
  std::size_t division_within(std::size_t length) const;
  std::optional<Segment> next_of_text();
  void read_json_document();
  std::optional<std::string> next_line();
  void skip_rest_of_line();
  void report_bad_line(const std::string& reason);
  void queue_document(JsonDocument document);
  void queue_text(std::string text, bool counts_as_target);

  DocumentReaderOptions options_;
  InputFiles files_;
  std::size_t next_file_ = 0;
  SkippedInput skipped_;
  std::uint64_t bytes_of_finished_files_ = 0;
  std::uint64_t text_bytes_ = 0;  // handed out
  bool divided_ = false;

  // The open file.
  std::unique_ptr<InputStream> stream_;
  std::string name_;
  bool jsonl_ = false;
  bool ended_ = false;            // nothing is left to read beyond `pending_`
  std::string pending_;           // read, not yet handed out
  std::size_t line_begin_ = 0;    // within `pending_`
  std::int64_t line_number_ = 0;  // of the last line taken, from 1
  bool inside_document_ = false;
  std::deque<Segment> queue_;  // of the current line of JSONL
};

}  // namespace zebra
