#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "data/input_stream.h"

namespace zebra {

/// How the documents of a JSON file stand in it: one a line, or as the elements of one array.
enum class JsonLayout { lines, array };

/// Finds the ends of the elements of a JSON array, in text that arrives block by block.
class JsonElementScanner {
 public:
  /// The place of the comma or the bracket that ends the element in which `text` stands at `from`;
  /// npos when the text ends before. The next call goes on where this one stopped: behind that
  /// place, or behind the text.
  std::size_t find_end(std::string_view text, std::size_t from);

 private:
  bool inside_string_ = false;
  bool escaped_ = false;
  std::int64_t depth_ = 0;  // of brackets within the element
};

/// The JSON text of one document.
struct JsonRecord {
  std::string text;
  std::int64_t line = 1;     // on which it begins
  bool is_too_long = false;  // then it has no text
};

/// Cuts a stream of JSON into its records, in memory for one of them.
class JsonRecordReader {
 public:
  /// `start` has been read from the stream already; `name` is for messages. Records of more than
  /// `most_bytes` are too long.
  JsonRecordReader(InputStream& stream, std::string start, JsonLayout layout,
                   std::uint64_t most_bytes, std::string name);

  JsonLayout layout() const { return layout_; }

  /// The next record that is not blank, or nothing at the end. Throws InputError when the stream is
  /// damaged, or an array does not end or something follows it.
  std::optional<JsonRecord> next();

 private:
  std::optional<JsonRecord> next_piece();
  std::size_t find_end(std::size_t from);
  void fill();
  void skip_rest();
  void skip_end(std::size_t end);
  void skip_to(std::size_t place);
  void require_end();
  void end_array();

  InputStream& stream_;
  std::string name_;
  JsonLayout layout_;
  std::uint64_t most_bytes_;
  JsonElementScanner scanner_;
  bool read_all_ = false;  // nothing is left to read beyond `pending_`
  bool ended_ = false;     // nor of records
  bool inside_long_record_ = false;
  std::string pending_;    // read, not yet handed out
  std::size_t begin_ = 0;  // of the next piece, within `pending_`
  std::int64_t line_ = 1;  // on which that begins
};

}  // namespace zebra
