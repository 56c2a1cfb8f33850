#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/document_reader.h"

namespace zebra {

/// Of more text than this a sample is taken: training needs some 17 bytes of memory for each byte.
inline constexpr std::uint64_t kTokenizerSampleBytes = 100'000'000;

struct TokenizerTrainingOptions {
  DocumentReaderOptions input;
  std::filesystem::path output;
  std::int64_t vocab_size = 0;
  bool overwrite = false;
  std::uint64_t sample_bytes = kTokenizerSampleBytes;
  double character_coverage = 0.9999;  // of the text, by characters with a piece; 0.98 to 1
};

struct TokenizerTrainingReport {
  std::int64_t vocab_size = 0;
  std::string tokenizer_hash;
  std::int64_t text_bytes = 0;           // read
  std::int64_t sampled_bytes = 0;        // trained on
  std::int64_t characters_as_bytes = 0;  // left without a piece because the vocabulary is small
  SkippedInput skipped;
  double seconds = 0.0;
};

/// Trains a SentencePiece BPE model whose encoding loses nothing: bytes for characters without a
/// piece, no normalisation, runs of spaces as pieces, newline and tab as pieces that never merge
/// with others, a piece for each digit; ids 0, 1, 2 are unknown, BOS and EOS, there is no padding.
///
/// Of more than `sample_bytes` of text an even sample of pieces (of some 256 KiB or a document) is
/// used, at least half of `sample_bytes` as a rule; the choice depends on the input alone. The same
/// input gives the same model. The model is written atomically.
///
/// Where the vocabulary has no room for the characters that the coverage asks for, the most
/// frequent ones get half of what is not reserved, and all others are encoded as bytes.
///
/// Throws InputError for bad input, an output that exists (without `overwrite`, or when it is an
/// input or no tokenizer), a text without a character, and a vocabulary size that is too small or
/// too large for the text; RunError when the model cannot be written.
TokenizerTrainingReport train_tokenizer(const TokenizerTrainingOptions& options);

}  // namespace zebra
