#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "base/bus_error.h"
#include "base/error.h"

namespace zebra {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
// Data is flushed every so many bytes: the last flush is then short, and other programs' pages stay
// in memory.
constexpr std::uint64_t kFlushBytes = std::uint64_t{256} << 20;

std::string reason() { return std::strerror(errno); }

/// An open file. Closing keeps errno, so that a message can still name what went wrong before.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags)
      : number_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~Descriptor() {
    const int kept = errno;
    if (number_ >= 0) ::close(number_);
    errno = kept;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  operator int() const { return number_; }

 private:
  int number_;
};

/// The same for reading; the file must be there.
class Input : public Descriptor {
 public:
  explicit Input(const std::filesystem::path& path, int flags = 0)
      : Descriptor(path, O_RDONLY | flags), path_(path) {
    if (*this < 0) fail("open it");
  }
  const std::filesystem::path& path() const { return path_; }
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(path_.string() + ": cannot " + what + ": " + reason());
  }

 private:
  std::filesystem::path path_;
};

// Opening a pipe would wait for a writer, and a device may have no end.
class RegularInput : public Input {
 public:
  explicit RegularInput(const std::filesystem::path& path) : Input(path, O_NONBLOCK) {
    struct stat status {};
    if (::fstat(*this, &status) != 0 || S_ISREG(status.st_mode)) return;
    throw InputError(path.string() + (S_ISDIR(status.st_mode)
                                          ? ": is a folder, not a file"
                                          : ": is a pipe or a device; give an ordinary file"));
  }
};

std::string read_all(const Input& input, std::size_t most) {
  std::string content;
  char block[1 << 16];
  while (const ssize_t count = ::read(input, block, sizeof block)) {
    if (count < 0 && errno != EINTR) input.fail("read it");
    if (count > 0) content.append(block, static_cast<std::size_t>(count));
    if (content.size() > most)
      throw InputError(input.path().string() + ": has more than " + std::to_string(most) +
                       " bytes");
  }
  return content;
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  return read_all(RegularInput(path), std::numeric_limits<std::size_t>::max());
}

std::string read_text_input(const std::filesystem::path& path) {
  return read_all(Input(path), kLongestTextInput);
}

std::filesystem::path folder_path(const std::filesystem::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

bool is_within(const std::filesystem::path& path, const std::filesystem::path& folder) {
  const auto outer = folder_path(std::filesystem::weakly_canonical(folder));
  const auto inner = std::filesystem::weakly_canonical(path);
  return std::ranges::mismatch(outer, inner).in1 == outer.end();
}

namespace {
constexpr std::string_view kPartial = ".partial-";
}

std::filesystem::path partial_path(const std::filesystem::path& path) {
  auto beside = path;
  beside += std::string(kPartial) + std::to_string(::getpid());
  return beside;
}

std::optional<std::string> name_of_partial(std::string_view name) {
  const auto at = name.rfind(kPartial);
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  const auto process = name.substr(at + kPartial.size());
  const bool is_number = !process.empty() && process.size() <= 10 && process.front() != '0' &&
                         process.find_first_not_of("0123456789") == std::string_view::npos;
  return is_number ? std::optional(std::string(name.substr(0, at))) : std::nullopt;
}

void flush_to_disk(const std::filesystem::path& path) {
  const Descriptor descriptor(path, O_RDONLY);
  if (descriptor < 0) throw RunError(path.string() + ": cannot open it to flush it: " + reason());
  if (::fsync(descriptor) == 0) return;
  // Some network and user-space file systems flush files but know no flushing of folders; there
  // nothing better can be done than to go on.
  const bool is_unknown = errno == EINVAL || errno == ENOTSUP || errno == ENOSYS;
  const int error = errno;
  struct stat status {};
  if (is_unknown && ::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) return;
  errno = error;
  throw RunError(path.string() + ": cannot flush it to the disk: " + reason());
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  const auto beside = partial_path(path);
  bool is_made = false;
  try {
    FileWriter writer(beside);
    is_made = true;
    writer.write(content);
    writer.commit();
    std::filesystem::rename(beside, path);
  } catch (const std::exception& error) {
    std::error_code ignored;
    if (is_made) std::filesystem::remove(beside, ignored);
    throw RunError(path.string() + ": cannot be written: " + error.what());
  }
  const auto folder = path.parent_path();
  flush_to_disk(folder.empty() ? std::filesystem::path(".") : folder);
}

FileWriter::FileWriter(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw RunError(path_.string() + ": cannot create it: " + reason());
  buffer_.reserve(kBufferBytes);
}

FileWriter::~FileWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void FileWriter::write(const void* data, std::size_t bytes) {
  const char* cursor = static_cast<const char*>(data);
  bytes_written_ += bytes;
  while (bytes > 0) {
    const std::size_t count = std::min(bytes, kBufferBytes - buffer_.size());
    buffer_.append(cursor, count);
    cursor += count;
    bytes -= count;
    if (buffer_.size() == kBufferBytes) drain();
  }
}

void FileWriter::drain() {
  std::size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t count = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw RunError(path_.string() + ": cannot write it: " + reason());
    done += static_cast<std::size_t>(count);
  }
  unflushed_bytes_ += buffer_.size();
  buffer_.clear();
  if (unflushed_bytes_ < kFlushBytes) return;
  if (::fdatasync(descriptor_) != 0)
    throw RunError(path_.string() + ": cannot flush it to the disk: " + reason());
  unflushed_bytes_ = 0;
}

void FileWriter::commit() {
  drain();
  if (::fsync(descriptor_) != 0)
    throw RunError(path_.string() + ": cannot flush it to the disk: " + reason());
  const int status = ::close(std::exchange(descriptor_, -1));
  if (status != 0) throw RunError(path_.string() + ": cannot close it: " + reason());
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const RegularInput input(path);
  struct stat status {};
  if (::fstat(input, &status) != 0) input.fail("read its size");
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, input, 0);
  if (address == MAP_FAILED) input.fail("map it into memory");
  data_ = {static_cast<std::byte*>(address), [size = size_](std::byte* data) {
             unwatch_mapping(data);
             ::munmap(data, size);
           }};
  watch_mapping(address, size_, path.string());
}

namespace {

std::string to_hexadecimal(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  char text[2 * sizeof canonical.digest + 1];
  for (std::size_t i = 0; i < sizeof canonical.digest; ++i)
    std::snprintf(text + 2 * i, 3, "%02x", canonical.digest[i]);
  return text;
}

}  // namespace

Hasher::Hasher() : state_(XXH3_createState(), [](auto* state) { XXH3_freeState(state); }) {
  XXH3_128bits_reset(state_.get());
}

void Hasher::update(const void* data, std::size_t bytes) {
  if (bytes > 0) XXH3_128bits_update(state_.get(), data, bytes);
}

std::string Hasher::digest() const { return to_hexadecimal(XXH3_128bits_digest(state_.get())); }

std::string hash_of(std::string_view bytes) {
  return to_hexadecimal(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string hash_of_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  return hash_of({reinterpret_cast<const char*>(file.data()), file.size()});
}

}  // namespace zebra
