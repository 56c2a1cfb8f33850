#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "data/chunked_file.h"

namespace zebra {

// A token dataset is a folder of
//   tokens.bin     the token ids, little-endian uint16, or uint32 for more than 65,536 ids
//   documents.bin  uint64, where each document begins in tokens.bin, and at last the number of
//   tokens loss_mask.bin  only where some token does not count as a target: one byte a token, 1 or
//   0 dataset.json   what follows, as JSON
inline constexpr const char* kTokensFile = "tokens.bin";
inline constexpr const char* kDocumentsFile = "documents.bin";
inline constexpr const char* kLossMaskFile = "loss_mask.bin";
inline constexpr const char* kDescriptionFile = "dataset.json";

inline constexpr std::uint64_t kDatasetChunkBytes = std::uint64_t{64} << 20;

/// Bytes that one token takes in tokens.bin: 2 or 4.
std::int64_t token_bytes_for(std::int64_t vocab_size);

/// Content of dataset.json.
struct TokenDatasetDescription {
  std::int64_t tokens = 0;
  std::int64_t documents = 0;
  std::int64_t text_bytes = 0;
  std::int64_t token_bytes = 2;
  std::int64_t vocab_size = 0;
  std::string tokenizer_hash;
  std::uint64_t chunk_bytes = kDatasetChunkBytes;
  ChunkedFileContent token_file;
  ChunkedFileContent document_file;
  std::optional<ChunkedFileContent> loss_mask_file;

  /// Hash over all of the above: equal for datasets of equal content, however they were made.
  std::string fingerprint() const;

  std::string to_json() const;

  /// Reads what to_json wrote. Throws InputError that begins with `origin` when the text is no such
  /// description, contradicts itself or was changed.
  static TokenDatasetDescription from_json(const std::string& text, const std::string& origin);
};

}  // namespace zebra
