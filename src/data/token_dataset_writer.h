#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/token_dataset_description.h"

namespace zebra {

struct TokenDatasetWriterOptions {
  std::filesystem::path output;
  std::string tokenizer_hash;
  std::int64_t vocab_size = 0;
  bool overwrite = false;  // replace a token dataset that is there already
  std::uint64_t chunk_bytes = kDatasetChunkBytes;
};

/// Writes a token dataset: into OUTPUT.partial-PID beside it, which publish() renames. Without
/// publish() the destructor removes what was written; a process that is killed leaves the partial
/// folder behind and no OUTPUT.
class TokenDatasetWriter {
 public:
  /// Throws InputError when the output exists and may not be replaced: without `overwrite`, or when
  /// it is anything but a token dataset. Throws RunError when the folder cannot be made.
  explicit TokenDatasetWriter(TokenDatasetWriterOptions options);
  ~TokenDatasetWriter();
  TokenDatasetWriter(const TokenDatasetWriter&) = delete;
  TokenDatasetWriter& operator=(const TokenDatasetWriter&) = delete;

  /// The next token begins a document.
  void begin_document();

  /// Appends tokens to the document begun last; `count_as_targets` fills the loss mask.
  void append(std::span<const std::int32_t> tokens, bool count_as_targets);

  void add_text_bytes(std::int64_t bytes) { description_.text_bytes += bytes; }

  /// Flushes all files to the disk, dataset.json last. At least one document must have been begun.
  void finish();

  /// Puts the finished dataset in place, atomically but for a replaced one, which is moved aside
  /// first and removed afterwards.
  void publish();

  /// Complete once finish() has run; before, the counts so far.
  const TokenDatasetDescription& description() const { return description_; }

 private:
  void append_to_loss_mask(std::uint8_t value, std::uint64_t count);
  std::filesystem::path partial_file(const char* name) const { return partial_ / name; }

  TokenDatasetWriterOptions options_;
  std::filesystem::path partial_;
  TokenDatasetDescription description_;
  std::unique_ptr<ChunkedFileWriter> tokens_;
  std::unique_ptr<ChunkedFileWriter> documents_;
  std::unique_ptr<ChunkedFileWriter> loss_mask_;  // from the first token on that does not count
  std::vector<std::uint16_t> narrow_;
  bool published_ = false;
};

}  // namespace zebra
