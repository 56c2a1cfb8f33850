#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/input_stream.h"

namespace zebra {

/// Whether `text` is well-formed UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_valid_utf8(std::string_view text);

/// The last place at or before `position` at which a character of `text` begins; `position` itself
/// where the bytes around it are no UTF-8. `position` must be at most the size of `text`.
std::size_t character_boundary(std::string_view text, std::size_t position);

/// One document of a JSONL file: a text, or the pair of a prompt, whose tokens do not count as
/// targets, and its completion.
struct JsonDocument {
  std::optional<std::string> prompt;
  std::string text;
};

/// Why a line is no document, as the end of a sentence that begins with the file and the line.
struct JsonLineProblem {
  std::string reason;
};

/// The document that one line of a JSONL file holds: its string `field`, or, without that field,
/// its strings "prompt" and "completion".
std::variant<JsonDocument, JsonLineProblem> parse_json_line(std::string_view line,
                                                            const std::string& field);

/// `automatic`: JSONL by name (.jsonl, .ndjson, .json.gz, .json.zst, the first two also
/// compressed), else text; standard input is JSONL when its first byte that is no white space is an
/// opening brace.
enum class InputFormat { automatic, text, jsonl };

/// Where long texts are cut: after the last newline within the first `preferred` bytes, else after
/// the next newline, else, at the latest after `longest` bytes, between two characters.
struct SegmentBytes {
  std::size_t preferred = std::size_t{256} << 10;
  std::size_t longest = std::size_t{1} << 20;
};

struct DocumentReaderOptions {
  std::vector<std::string> inputs;  // files, folders, or kStandardInput
  std::vector<std::string> extensions = {};
  InputFormat format = InputFormat::automatic;
  std::string field = "text";
  bool skip_bad_lines = false;
  SegmentBytes segment_bytes = {};
};

/// A piece of a document, or all of it.
struct Segment {
  std::string text;
  bool begins_document = false;
  bool ends_document = false;
  bool counts_as_target = true;  // false for the prompt of a prompt and completion pair
};

/// What was left out so far.
struct SkippedInput {
  std::int64_t binary_files = 0;       // found in folders, with a NUL byte in their first 64 KiB
  std::int64_t files_below_links = 0;  // of folders that a link in a folder leads to
  std::int64_t empty_documents = 0;    // they get no place in the output
  std::int64_t bad_lines = 0;
};

/// Turns files, folders and standard input into a stream of documents in pieces, in bounded memory
/// but for single lines of JSONL. A text file is one document, a line of JSONL is one document.
class DocumentReader {
 public:
  /// Lists the inputs; throws the InputError of list_input_files.
  explicit DocumentReader(DocumentReaderOptions options);
  ~DocumentReader();

  /// The next piece, or nothing at the end. Throws InputError for a file that cannot be read or is
  /// damaged, and for a bad line of JSONL unless those are skipped.
  std::optional<Segment> next();

  const SkippedInput& skipped() const { return skipped_; }

  /// Progress in bytes as they lie on the disk; the total is 0 when it is unknown.
  std::uint64_t bytes_read() const;
  std::uint64_t bytes_total() const { return files_.bytes; }

 private:
  bool open_next_file();
  bool is_jsonl(const InputFile& file) const;
  void fill(std::size_t bytes);
  std::optional<Segment> next_of_text();
  void read_json_document();
  std::optional<std::string> next_line();
  void report_bad_line(const std::string& reason);
  void queue_document(JsonDocument document);
  void queue_text(std::string text, bool counts_as_target);

  DocumentReaderOptions options_;
  InputFiles files_;
  std::size_t next_file_ = 0;
  SkippedInput skipped_;
  std::uint64_t bytes_of_finished_files_ = 0;

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
