#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct XXH3_state_s;

namespace zebra {

/// The whole file as bytes. Throws InputError when it cannot be read, or is no ordinary file (a
/// pipe, a device); the message names the path and the reason.
std::string read_file(const std::filesystem::path& path);

/// The same for what people write, such as a run file: it may come through a pipe, and has at most
/// kLongestTextInput bytes.
std::string read_text_input(const std::filesystem::path& path);

inline constexpr std::size_t kLongestTextInput = std::size_t{16} << 20;

/// Writes `content` beside `path` (partial_path), flushes it to the disk and renames it over
/// `path`: a reader sees the old file or the whole new one, also after a crash. Throws RunError.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// The path of a folder without a trailing slash, so that "a/" and "a" have the same name beside
/// them.
std::filesystem::path folder_path(const std::filesystem::path& path);

/// Whether `path` is `folder` or lies within it, also by another name. Neither need exist.
bool is_within(const std::filesystem::path& path, const std::filesystem::path& folder);

/// Where what is to stand at `path` is written until it is whole: PATH.partial-PID beside it.
std::filesystem::path partial_path(const std::filesystem::path& path);

/// What a file of such a name would have become: "status.json" of "status.json.partial-77". Nothing
/// for every other name, however near: what is removed must be our own.
std::optional<std::string> name_of_partial(std::string_view name);

/// Flushes a file's content, or a folder's entries, to the disk (fsync). A file system that cannot
/// flush folders is no error. Throws RunError.
void flush_to_disk(const std::filesystem::path& path);

/// Sequential writer of a new file, never through a link, that reports every failure (a full disk
/// included) as RunError with the path.
class FileWriter {
 public:
  explicit FileWriter(std::filesystem::path path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  std::uint64_t bytes_written() const { return bytes_written_; }

  /// Flushes to the disk and closes. Without it the destructor only closes: the file is then to be
  /// thought incomplete.
  void commit();

 private:
  void drain();

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::string buffer_;
  std::uint64_t bytes_written_ = 0, unflushed_bytes_ = 0;
};

/// A file mapped read-only into memory for as long as this object or a copy of it lives.
class MappedFile {
 public:
  MappedFile() = default;
  /// Throws InputError when the file cannot be opened or mapped, or is no ordinary file.
  explicit MappedFile(const std::filesystem::path& path);

  const std::byte* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data(), size_}; }

 private:
  std::shared_ptr<std::byte> data_;
  std::size_t size_ = 0;
};

/// XXH3 with 128 bits: guards against accidents (truncation, flipped bits, mixed-up files) at
/// memory speed; it is no defence against forgery. Digests are 32 lower-case hexadecimal digits, as
/// `xxhsum -H2` prints them.
class Hasher {
 public:
  Hasher();

  void update(const void* data, std::size_t bytes);
  void update(std::string_view text) { update(text.data(), text.size()); }
  std::string digest() const;

 private:
  std::unique_ptr<XXH3_state_s, void (*)(XXH3_state_s*)> state_;
};

/// Size and hash of a file's content.
struct FileRecord {
  std::uint64_t size = 0;
  std::string hash;
};

std::string hash_of(std::string_view bytes);

/// Hash of a file's content. Throws InputError when it cannot be read.
std::string hash_of_file(const std::filesystem::path& path);

}  // namespace zebra
