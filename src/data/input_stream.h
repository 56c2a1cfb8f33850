#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace zebra {

/// The name that stands for standard input among the inputs of a command.
inline constexpr std::string_view kStandardInput = "-";

/// How messages call an input: its path, or "standard input".
std::string input_name(const std::string& path);

/// Reads a file or standard input from start to end, decompressing gzip and Zstandard, which it
/// knows by their first bytes. Files of several members or frames are read to their end; zeros
/// behind gzip data, as tapes have them, are none.
class InputStream {
 public:
  /// Throws InputError when the file cannot be opened.
  explicit InputStream(const std::string& path);
  ~InputStream();
  InputStream(const InputStream&) = delete;
  InputStream& operator=(const InputStream&) = delete;

  /// Appends up to `bytes` decompressed bytes to `text` and returns their number; fewer only at the
  /// end. Throws InputError when the data is damaged or ends too early.
  std::size_t append_to(std::string& text, std::size_t bytes);

  /// Bytes taken from the file so far, as they lie on the disk.
  std::uint64_t bytes_read() const;

 private:
  class Source;
  class Decoder;
  class GzipDecoder;
  class ZstandardDecoder;

  std::unique_ptr<Source> source_;
  std::unique_ptr<Decoder> decoder_;
};

/// A file to read, or standard input (kStandardInput).
struct InputFile {
  std::string path;
  bool from_folder = false;  // found in a folder, not named by the user
  bool is_stream = false;    // standard input, a pipe: can be read once, and its length is unknown
};

struct InputFiles {
  std::vector<InputFile> files;
  std::uint64_t bytes = 0;        // on the disk, all together; 0 when a stream is among them
  std::int64_t linked_files = 0;  // left out: below folders that a folder holds as links
};

/// The files that `inputs` stand for, in the order given; a folder stands for the regular files in
/// it and below, sorted by path, without those whose name or folder's name begins with a dot.
/// Folders that are links are not entered, so that no file comes twice.
///
/// With `extensions` (".py") only files of a folder that end in one of them are taken; an ending
/// .gz or .zst is looked past. Throws one InputError that lists every input that is missing, is an
/// empty file, is a folder without a file to take, or holds what the package `datasets` saved.
InputFiles list_input_files(const std::vector<std::string>& inputs,
                            const std::vector<std::string>& extensions);

/// `path` without an ending .gz or .zst.
std::string without_compression_suffix(const std::string& path);

}  // namespace zebra
