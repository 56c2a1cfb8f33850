#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace zebra {

/// Appends lines to a file that tells of work which must not end with it. What cannot be written (a
/// full disk) is kept in memory and tried again with every further line; lines beyond kMostBytes
/// are lost, and counted.
///
/// The texts that are returned are for people: why lines cannot be written, the first time in a
/// row, and what became of them once that is over; empty otherwise.
class LineFile {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{4} << 20;

  /// Throws RunError when the file cannot be opened.
  explicit LineFile(std::filesystem::path path);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  /// `line` comes without its newline.
  std::string append(std::string_view line);
  /// Tries again what waits.
  std::string retry();

  /// Tries a last time: what cannot be written now is lost.
  std::string finish();

  /// Those that are in the file, of this object.
  std::int64_t lines_written() const { return lines_written_; }

  /// Flushes what is written to the disk; for any thread. Throws RunError.
  void flush() const;

 private:
  std::string drain();

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::string waiting_;
  bool is_failing_ = false;
  std::int64_t lines_written_ = 0, lost_ = 0;
};

}  // namespace zebra
