#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset_folder.h"
#include "data/loss_mask_writer.h"
#include "data/token_dataset_format.h"

namespace zebra {

/// Up to this size of all its tokens a dataset is verified whole when it is opened; beyond it each
/// chunk when it is first touched.
inline constexpr std::uint64_t kVerifyWholeBytes = std::uint64_t{1} << 30;

/// Documents as tokens, each as BOS, its tokens, EOS.
struct TokenizedDocuments {
  std::vector<std::int32_t> tokens;
  std::vector<std::uint64_t> offsets;  ///< where each begins, and at last the number of tokens
  std::vector<std::uint8_t> counts_as_target;  ///< of each token: 1 or 0
  std::int64_t text_bytes = 0;
};

/// A token dataset, mapped into memory. All const member functions are thread-safe. Positions are
/// token positions in [0, tokens()]; one beyond is a std::out_of_range.
class TokenDataset {
 public:
  /// Throws InputError that names the dataset and the fix when it is missing, malformed, truncated
  /// or corrupt, was made with another tokenizer than the run's, or holds an id that is not below
  /// the run's `vocab_size`.
  TokenDataset(std::filesystem::path path, const std::string& tokenizer_hash,
               std::int64_t vocab_size, std::uint64_t verify_whole_bytes = kVerifyWholeBytes);
  /// The same for whoever reads it without a run: its tokenizer and vocabulary are its own.
  explicit TokenDataset(std::filesystem::path path,
                        std::uint64_t verify_whole_bytes = kVerifyWholeBytes);

  /// Of documents, at least one, that lie in memory only: `name` is what messages call them.
  /// Without a fingerprint.
  TokenDataset(std::filesystem::path name, TokenizedDocuments documents);

  const std::filesystem::path& path() const { return path_; }
  /// What path() and messages are to say from now on, where people know it by another path.
  void show_as(std::filesystem::path path) { path_ = std::move(path); }
  const TokenDatasetDescription& description() const { return description_; }
  const std::string& fingerprint() const { return fingerprint_; }
  std::int64_t tokens() const { return description_.tokens; }
  std::int64_t documents() const { return description_.documents; }
  std::int64_t text_bytes() const { return description_.text_bytes; }

  /// Fills `out` with the tokens from position `begin` on. Throws InputError when a chunk that is
  /// touched for the first time is corrupt or holds an id that is not below the vocabulary size,
  /// and RunError when the file has changed since it was opened.
  void copy_tokens(std::int64_t begin, std::span<std::int32_t> out) const;

  /// Whether the tokens that count as targets are labels only, which nobody reads as input.
  bool has_labels_only() const { return description_.label_stand_in.has_value(); }

  /// As copy_tokens, with what a model reads in the place of labels.
  void copy_inputs(std::int64_t begin, std::span<std::int32_t> out) const;

  /// Fills `out` with 1 where the token counts as a target and 0 where it does not, from position
  /// `begin` on; all 1 in a dataset without a loss mask. Throws like copy_tokens.
  void copy_loss_mask(std::int64_t begin, std::span<std::uint8_t> out) const;

  /// Where each document begins, and at last tokens().
  std::span<const std::uint64_t> document_offsets() const { return document_offsets_; }

  /// The positions above `begin` and below `end` at which a document begins, in order.
  std::vector<std::int64_t> document_starts(std::int64_t begin, std::int64_t end) const;

 private:
  /// Without a run's tokenizer its own is taken.
  struct RunTokenizer {
    const std::string& hash;
    std::int64_t vocab_size;
  };
  void open(const std::optional<RunTokenizer>& run, std::uint64_t verify_whole_bytes);
  void open_files(std::int64_t vocab_size);
  void read_document_offsets();
  void check_range(std::int64_t begin, std::size_t count) const;

  std::filesystem::path path_;
  TokenDatasetDescription description_;
  std::string fingerprint_;
  std::optional<TokenizedDocuments> in_memory_;  // where given, there are no files
  struct OpenPiece {
    std::int64_t begin;  // position of its first token
    std::int64_t token_bytes;
    std::unique_ptr<ChunkedFile> file;
  };
  std::vector<OpenPiece> pieces_;
  std::unique_ptr<ChunkedFile> document_file_;
  std::unique_ptr<ChunkedFile> loss_mask_file_;  // null without a loss mask
  std::span<const std::uint64_t> document_offsets_;
};

using TokenDatasets = std::vector<std::unique_ptr<TokenDataset>>;

struct TokenDatasetWriterOptions {
  std::filesystem::path output;
  std::string tokenizer_hash;
  std::int64_t vocab_size = 0;
  bool overwrite = false;  // replace a token dataset that is there already
  std::uint64_t chunk_bytes = kDatasetChunkBytes;
  std::optional<std::int32_t> label_stand_in = {};  // see TokenDatasetDescription
};

/// Writes a token dataset: into a folder beside the output (see DatasetFolder), which publish()
/// puts in place. Without publish() nothing is left.
class TokenDatasetWriter {
 public:
  /// Throws like DatasetFolder.
  explicit TokenDatasetWriter(TokenDatasetWriterOptions options);

  /// The next token begins a document.
  void begin_document();

  /// Appends tokens to the document begun last; `count_as_targets` fills the loss mask.
  void append(std::span<const std::int32_t> tokens, bool count_as_targets);

  void add_text_bytes(std::int64_t bytes) { description_.text_bytes += bytes; }

  /// Flushes all files to the disk, dataset.json last. At least one document must have been begun.
  void finish();

  /// Puts the finished dataset in place.
  void publish() { folder_.publish(); }

  /// Complete once finish() has run; before, the counts so far.
  const TokenDatasetDescription& description() const { return description_; }

 private:
  std::filesystem::path partial_file(const char* name) const { return folder_.partial() / name; }

  TokenDatasetWriterOptions options_;
  DatasetFolder folder_;
  TokenDatasetDescription description_;
  std::unique_ptr<ChunkedFileWriter> tokens_;
  std::unique_ptr<ChunkedFileWriter> documents_;
  LossMaskWriter loss_mask_;
};

}  // namespace zebra
