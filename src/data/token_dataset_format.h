#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace zebra {

/// Size of a file and the hash of each of its chunks (all of one size but for the last).
struct ChunkedFileContent {
  std::uint64_t bytes = 0;
  std::vector<std::string> chunk_hashes;
};

/// Writes a file and hashes its chunks on the way. Throws RunError.
class ChunkedFileWriter {
 public:
  ChunkedFileWriter(std::filesystem::path path, std::uint64_t chunk_bytes);

  void write(const void* data, std::size_t bytes);

  /// Flushes to the disk and closes; call it once, at the end.
  ChunkedFileContent commit();

 private:
  void end_chunk();

  FileWriter writer_;
  std::uint64_t chunk_bytes_;
  Hasher hasher_;
  std::uint64_t bytes_in_chunk_ = 0;
  std::vector<std::string> chunk_hashes_;
};

/// Where in a file a content begins.
struct FilePart {
  std::uint64_t first_byte = 0;
  std::uint64_t file_bytes = 0;  // of the whole file; at least first_byte and the content's bytes
};

/// A file, or a part of one, mapped into memory whose chunks are verified before they are used for
/// the first time, and again when the file's time has changed. Thread-safe. What others change
/// within the file between a call and the use of its bytes is not noticed.
class ChunkedFile {
 public:
  /// Looks at a chunk before its hash is compared; `first_byte` is its place in the content. Throws
  /// InputError to refuse it.
  using Inspection =
      std::function<void(std::span<const std::byte> chunk, std::uint64_t first_byte)>;

  /// Throws InputError when the file is missing or has another size than `content` says.
  ChunkedFile(const std::filesystem::path& path, ChunkedFileContent content,
              std::uint64_t chunk_bytes, Inspection inspection);
  /// The same where the content is a part of the file; another size of the file is refused, too.
  ChunkedFile(const std::filesystem::path& path, ChunkedFileContent content, FilePart part,
              std::uint64_t chunk_bytes, Inspection inspection);
  ~ChunkedFile();
  ChunkedFile(const ChunkedFile&) = delete;
  ChunkedFile& operator=(const ChunkedFile&) = delete;

  std::uint64_t bytes() const { return content_.bytes; }

  /// The bytes [begin, begin + count) of the content, every chunk they touch being verified. Throws
  /// InputError that names the file and the chunk when its content is not what was written,
  /// RunError when the file has another size by now or was overwritten with something else.
  std::span<const std::byte> verified(std::uint64_t begin, std::uint64_t count) const;

 private:
  void notice_change() const;
  void verify_chunk(std::size_t chunk) const;

  std::filesystem::path path_;
  ChunkedFileContent content_;
  FilePart part_;
  std::uint64_t chunk_bytes_;
  Inspection inspection_;
  MappedFile file_;
  int descriptor_;  // of the file as it is by now
  mutable std::mutex mutex_;
  mutable std::atomic<std::int64_t> time_ = 0;  // of the last change that was noticed
  mutable std::atomic<bool> has_changed_ = false;
  std::unique_ptr<std::atomic<bool>[]> is_verified_;
};

// A token dataset is a folder of
//   tokens.bin     the token ids, little-endian uint16, or uint32 for more than 65,536 ids
//   documents.bin  uint64, where each document begins in tokens.bin, at last the number of tokens
//   loss_mask.bin  only where some token does not count as a target: one byte a token, 1 or 0
//                  (`label_stand_in` makes those that count labels only)
//   dataset.json   what follows, as JSON
// Where the tokens stay in files of others there is no tokens.bin: dataset.json says where they
// are.
inline constexpr const char* kTokensFile = "tokens.bin";
inline constexpr const char* kDocumentsFile = "documents.bin";
inline constexpr const char* kLossMaskFile = "loss_mask.bin";
inline constexpr const char* kDescriptionFile = "dataset.json";

inline constexpr std::uint64_t kDatasetChunkBytes = std::uint64_t{64} << 20;

/// Bytes that one token takes in tokens.bin: 2 or 4.
std::int64_t token_bytes_for(std::int64_t vocab_size);

/// Tokens that stand one after another in a file.
struct TokenPiece {
  std::filesystem::path file;  // a relative one is below the dataset's folder
  FilePart part;
  std::int64_t token_bytes = 2;  // 2, 4 or 8
  std::int64_t tokens = 0;
  ChunkedFileContent content;
};

/// Content of dataset.json.
struct TokenDatasetDescription {
  std::int64_t tokens = 0;
  std::int64_t documents = 0;
  std::int64_t text_bytes = 0;
  std::int64_t token_bytes = 2;  // of tokens.bin
  std::int64_t vocab_size = 0;
  std::string tokenizer_hash;
  std::uint64_t chunk_bytes = kDatasetChunkBytes;
  ChunkedFileContent token_file;
  /// Where not empty: the files that hold the tokens, in order, in the place of tokens.bin, of
  /// which the description then says nothing.
  std::vector<TokenPiece> pieces;
  ChunkedFileContent document_file;
  std::optional<ChunkedFileContent> loss_mask_file;
  /// Where given, the tokens that count as targets are labels only: whoever reads them as input
  /// reads this id in their place. Goes with a loss mask.
  std::optional<std::int32_t> label_stand_in;

  /// The pieces, or the only one, tokens.bin.
  std::vector<TokenPiece> all_pieces() const;

  /// Hash over all of the above: equal for datasets of equal content, however they were made. Names
  /// of files are left out, so that they may be corrected where files were moved.
  std::string fingerprint() const;

  std::string to_json() const;

  /// Reads what to_json wrote. Throws InputError that begins with `origin` when the text is no such
  /// description, contradicts itself or was changed.
  static TokenDatasetDescription from_json(const std::string& text, const std::string& origin);
};

}  // namespace zebra
