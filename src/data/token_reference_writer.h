#pragma once

#include <cstdint>
#include <span>

#include "data/dataset_folder.h"
#include "data/loss_mask_writer.h"
#include "data/token_dataset.h"
#include "data/token_dataset_format.h"

namespace zebra {

/// Writes a token dataset whose tokens stay in the files they are in: dataset.json names them, and
/// only documents.bin and, where needed, loss_mask.bin are written. As TokenDatasetWriter, it
/// leaves nothing without publish().
class TokenReferenceWriter {
 public:
  /// Throws like DatasetFolder.
  explicit TokenReferenceWriter(TokenDatasetWriterOptions options);

  /// Tokens of a file, behind those so far. `document_begins` are those of its tokens, counted from
  /// the piece's first, with which a document begins; they ascend. `text_bytes` are those of the
  /// text that the tokens stand for.
  void add_piece(TokenPiece piece, std::span<const std::uint64_t> document_begins,
                 std::int64_t text_bytes);

  /// Whether the next tokens count as targets, 0 or 1 for each; all tokens get their turn.
  void add_loss_mask(std::span<const std::uint8_t> counts) { loss_mask_.append(counts); }

  /// The next `count` tokens all count.
  void add_targets(std::int64_t count) {
    loss_mask_.append(true, static_cast<std::uint64_t>(count));
  }

  /// Flushes all files to the disk, dataset.json last. At least one document must have begun, with
  /// the first token.
  void finish();

  /// Puts the finished dataset in place.
  void publish() { folder_.publish(); }

  /// Complete once finish() has run; before, the counts so far.
  const TokenDatasetDescription& description() const { return description_; }

 private:
  DatasetFolder folder_;
  TokenDatasetDescription description_;
  ChunkedFileWriter documents_;
  LossMaskWriter loss_mask_;
};

}  // namespace zebra
