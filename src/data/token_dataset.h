#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/token_dataset_description.h"

namespace zebra {

/// Up to this size of tokens.bin a dataset is verified whole when it is opened; beyond it each
/// chunk when it is first touched.
inline constexpr std::uint64_t kVerifyWholeBytes = std::uint64_t{1} << 30;

/// A token dataset, mapped into memory. All const member functions are thread-safe. Positions are
/// token positions in [0, tokens()]; one beyond is a std::out_of_range.
class TokenDataset {
 public:
  /// Throws InputError that names the dataset and the fix when it is missing, malformed, truncated
  /// or corrupt, was made with another tokenizer than the run's, or holds an id that is not below
  /// the run's `vocab_size`.
  TokenDataset(std::filesystem::path path, const std::string& tokenizer_hash,
               std::int64_t vocab_size, std::uint64_t verify_whole_bytes = kVerifyWholeBytes);

  const std::filesystem::path& path() const { return path_; }
  const std::string& fingerprint() const { return fingerprint_; }
  std::int64_t tokens() const { return description_.tokens; }
  std::int64_t documents() const { return description_.documents; }
  std::int64_t text_bytes() const { return description_.text_bytes; }

  /// Fills `out` with the tokens from position `begin` on. Throws InputError when a chunk that is
  /// touched for the first time is corrupt or holds an id that is not below the vocabulary size.
  void copy_tokens(std::int64_t begin, std::span<std::int32_t> out) const;

  /// Fills `out` with 1 where the token counts as a target and 0 where it does not, from position
  /// `begin` on; all 1 in a dataset without a loss mask. Throws like copy_tokens.
  void copy_loss_mask(std::int64_t begin, std::span<std::uint8_t> out) const;

  /// Where each document begins, and at last tokens().
  std::span<const std::uint64_t> document_offsets() const { return document_offsets_; }

  /// The positions above `begin` and below `end` at which a document begins, in order.
  std::vector<std::int64_t> document_starts(std::int64_t begin, std::int64_t end) const;

 private:
  void open_files(std::int64_t vocab_size);
  void read_document_offsets();
  void check_range(std::int64_t begin, std::size_t count) const;

  std::filesystem::path path_;
  TokenDatasetDescription description_;
  std::string fingerprint_;
  std::unique_ptr<ChunkedFile> token_file_;
  std::unique_ptr<ChunkedFile> document_file_;
  std::unique_ptr<ChunkedFile> loss_mask_file_;  // null without a loss mask
  std::span<const std::uint64_t> document_offsets_;
};

}  // namespace zebra
