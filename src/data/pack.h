#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "data/document_reader.h"

namespace zebra {

class Tokenizer;

/// Where long texts are cut for a tokenizer.
SegmentBytes segment_bytes_for(const Tokenizer& tokenizer);

/// A part of the documents that goes to a dataset of its own, chosen by seed and document number.
/// Where that takes none or all of some text files (of a single one always), it is their end
/// instead: the file in which it begins is divided at a line.
struct HoldoutOptions {
  double fraction = 0.0;  // in (0, 1)
  std::filesystem::path output;
  std::uint64_t seed = 0;
};

struct PackOptions {
  DocumentReaderOptions input;  // its segment_bytes are set by the tokenizer's kind
  std::filesystem::path tokenizer;
  std::filesystem::path output;
  std::optional<HoldoutOptions> holdout;
  int threads = 0;  // that encode; 0: one for each core
  bool overwrite = false;
};

/// What one dataset got.
struct PackedDataset {
  std::filesystem::path path;
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
  std::int64_t text_bytes = 0;
  std::string fingerprint;
};

struct PackReport {
  PackedDataset dataset;
  std::optional<PackedDataset> holdout;
  SkippedInput skipped;
  std::int64_t invalid_utf8_documents = 0;  // bytes that are no UTF-8, or half surrogates of JSON,
                                            // became U+FFFD
  std::int64_t space_mark_documents = 0;    // U+2581 within became a space (SentencePiece)
  double seconds = 0.0;
};

/// Encodes text files and JSONL into a token dataset, each document as BOS, its tokens, EOS. The
/// output depends on the inputs, their order and the tokenizer, not on the number of threads. In a
/// prompt and completion pair BOS and the prompt do not count as targets.
///
/// Needs memory for some segments of text per thread. On any failure no output is left.
/// Throws InputError for bad options or input, RunError when the output cannot be written.
PackReport pack(const PackOptions& options);

}  // namespace zebra
