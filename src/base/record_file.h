#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <string_view>

namespace zebra {

/// Appends records (lines, say) to a file that tells of work which must not end with it. What
/// cannot be written (a full disk) is kept in memory and tried again with every further record;
/// records beyond kMostBytes are lost, and counted. None is ever written in part for good.
///
/// The texts that are returned are for people: why records cannot be written, the first time in a
/// row, and what became of them once that is over; empty otherwise.
class RecordFile {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{4} << 20;

  /// `noun` is what people call a record. Throws RunError when the file cannot be opened.
  explicit RecordFile(std::filesystem::path path, std::string noun = "line");
  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  /// `record` has all its bytes, a line its newline.
  std::string append(std::string_view record);
  /// Tries again what waits.
  std::string retry();

  /// Tries a last time: what cannot be written now is lost.
  std::string finish();

  /// Those that are in the file, of this object.
  std::int64_t records_written() const { return records_written_; }

  /// Flushes what is written to the disk; for any thread. Throws RunError.
  void flush() const;

 private:
  std::string drain();
  std::string count_text(std::int64_t records) const;

  std::filesystem::path path_;
  std::string noun_;
  int descriptor_ = -1;
  std::string waiting_;
  std::deque<std::size_t> waiting_sizes_;  // bytes that each record still has in it
  bool is_failing_ = false;
  std::int64_t records_written_ = 0, lost_ = 0;
};

}  // namespace zebra
