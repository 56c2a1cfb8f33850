#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
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

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw InputError(path.string() + ": cannot open it: " + reason());
  std::string content;
  char block[1 << 16];
  for (;;) {
    const ssize_t count = ::read(descriptor, block, sizeof block);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const std::string why = reason();
      ::close(descriptor);
      throw InputError(path.string() + ": cannot read it: " + why);
    }
    if (count == 0) break;
    content.append(block, static_cast<std::size_t>(count));
  }
  ::close(descriptor);
  return content;
}

std::filesystem::path folder_path(const std::filesystem::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

void flush_to_disk(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw RunError(path.string() + ": cannot open it to flush it: " + reason());
  const int status = ::fsync(descriptor);
  const std::string why = reason();
  ::close(descriptor);
  if (status != 0) throw RunError(path.string() + ": cannot flush it to the disk: " + why);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path beside = path.string() + ".partial-" + std::to_string(::getpid());
  try {
    FileWriter writer(beside);
    writer.write(content);
    writer.commit();
    std::filesystem::rename(beside, path);
  } catch (const std::exception& error) {
    std::error_code ignored;
    std::filesystem::remove(beside, ignored);
    throw RunError(path.string() + ": cannot be written: " + error.what());
  }
  const auto folder = path.parent_path();
  flush_to_disk(folder.empty() ? std::filesystem::path(".") : folder);
}

FileWriter::FileWriter(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
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
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw InputError(path.string() + ": cannot open it: " + reason());
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    const std::string why = reason();
    ::close(descriptor);
    throw InputError(path.string() + ": cannot read its size: " + why);
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ > 0) {
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor, 0);
    const std::string why = reason();
    if (address == MAP_FAILED) {
      ::close(descriptor);
      throw InputError(path.string() + ": cannot map it into memory: " + why);
    }
    data_ = static_cast<const std::byte*>(address);
    watch_mapping(address, size_, path.string());
  }
  ::close(descriptor);
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  unwatch_mapping(data_);
  ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

namespace {

std::string to_hexadecimal(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : canonical.digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

struct Hasher::State {
  XXH3_state_t* xxh3 = XXH3_createState();
  ~State() { XXH3_freeState(xxh3); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) { XXH3_128bits_reset(state_->xxh3); }
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(const void* data, std::size_t bytes) {
  if (bytes > 0) XXH3_128bits_update(state_->xxh3, data, bytes);
}

std::string Hasher::digest() const { return to_hexadecimal(XXH3_128bits_digest(state_->xxh3)); }

std::string hash_of(std::string_view bytes) {
  return to_hexadecimal(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string hash_of_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  return hash_of({reinterpret_cast<const char*>(file.data()), file.size()});
}

}  // namespace zebra
