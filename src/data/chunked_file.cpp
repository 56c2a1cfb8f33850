#include "data/chunked_file.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace zebra {

ChunkedFileWriter::ChunkedFileWriter(std::filesystem::path path, std::uint64_t chunk_bytes)
    : writer_(std::move(path)), chunk_bytes_(chunk_bytes) {}

void ChunkedFileWriter::write(const void* data, std::size_t bytes) {
  writer_.write(data, bytes);
  const auto* cursor = static_cast<const std::byte*>(data);
  while (bytes > 0) {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes, chunk_bytes_ - bytes_in_chunk_));
    hasher_.update(cursor, count);
    cursor += count;
    bytes -= count;
    bytes_in_chunk_ += count;
    if (bytes_in_chunk_ == chunk_bytes_) end_chunk();
  }
}

void ChunkedFileWriter::end_chunk() {
  chunk_hashes_.push_back(std::exchange(hasher_, Hasher()).digest());
  bytes_in_chunk_ = 0;
}

ChunkedFileContent ChunkedFileWriter::commit() {
  if (bytes_in_chunk_ > 0) end_chunk();
  writer_.commit();
  return {writer_.bytes_written(), chunk_hashes_};
}

ChunkedFile::ChunkedFile(const std::filesystem::path& path, ChunkedFileContent content,
                         std::uint64_t chunk_bytes, Inspection inspection)
    : path_(path),
      content_(std::move(content)),
      chunk_bytes_(chunk_bytes),
      inspection_(std::move(inspection)),
      file_(path),
      is_verified_(std::make_unique<std::atomic<bool>[]>(content_.chunk_hashes.size())) {
  if (file_.size() == content_.bytes) return;
  throw InputError(
      path.string() + (file_.size() < content_.bytes ? ": is truncated: " : ": is too long: ") +
      with_commas(static_cast<std::int64_t>(file_.size())) + " bytes where dataset.json says " +
      with_commas(static_cast<std::int64_t>(content_.bytes)) +
      "; copy the dataset again or pack it anew");
}

std::span<const std::byte> ChunkedFile::verified(std::uint64_t begin, std::uint64_t count) const {
  if (count > 0) {
    const std::uint64_t last = (begin + count - 1) / chunk_bytes_;
    for (std::uint64_t chunk = begin / chunk_bytes_; chunk <= last; ++chunk) {
      if (!is_verified_[chunk].load(std::memory_order_acquire)) verify_chunk(chunk);
    }
  }
  return file_.bytes().subspan(begin, count);
}

void ChunkedFile::verify_chunk(std::size_t chunk) const {
  const std::lock_guard lock(mutex_);
  if (is_verified_[chunk].load(std::memory_order_relaxed)) return;
  const std::uint64_t begin = chunk * chunk_bytes_;
  const std::uint64_t end = std::min(begin + chunk_bytes_, content_.bytes);
  const auto bytes = file_.bytes().subspan(begin, end - begin);
  inspection_(bytes, begin);
  const std::string hash = hash_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (hash != content_.chunk_hashes[chunk]) {
    throw InputError(path_.string() + ": is corrupt: the bytes from " + std::to_string(begin) +
                     " to " + std::to_string(end) +
                     " are not those that were written; copy the dataset again or pack it anew");
  }
  is_verified_[chunk].store(true, std::memory_order_release);
}

}  // namespace zebra
