#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/foreign_tokens.h"
#include "data/token_dataset.h"
#include "data/tokenizer.h"

namespace zebra {

struct AdoptOptions {
  std::vector<std::filesystem::path> paths;  // what find_foreign_tokens takes
  std::filesystem::path output;
  /// For files without an index of their documents, in the place of what is common in their format.
  std::optional<std::int64_t> document_separator;
  std::optional<SeparatorPlace> separator_place;
  /// For files that do not say it; by default what the tokenizer's vocabulary needs.
  std::optional<std::int64_t> token_bytes;
  bool overwrite = false;
  std::uint64_t chunk_bytes = kDatasetChunkBytes;
};

/// A file as it was taken.
struct AdoptedFile {
  std::filesystem::path path;
  std::string format;
  std::int64_t tokens = 0;
  std::int64_t documents = 0;
};

struct AdoptReport {
  TokenDatasetDescription description;
  std::vector<AdoptedFile> files;
  std::int64_t largest_id = 0;
  double seconds = 0.0;
};

/// Makes a token dataset of token files that other programs wrote with this tokenizer. Nothing of
/// them is copied: the dataset names them. One pass over their tokens hashes them by chunks, checks
/// their ids and finds documents where no index does. Documents without a token are left out.
/// Needs memory for 8 bytes a document.
///
/// Throws InputError that lists all that is wrong with options and files, RunError when the output
/// cannot be written; no output is left then.
AdoptReport adopt(const AdoptOptions& options, const Tokenizer& tokenizer);

/// Such a path opened as a token dataset, which is adopted for as long as it is open: the same
/// content and fingerprint as `adopt` gives without options, at the price of a pass each time.
/// Throws like `adopt` and TokenDataset.
std::unique_ptr<TokenDataset> open_foreign_tokens(const std::filesystem::path& path,
                                                  const Tokenizer& tokenizer,
                                                  std::int64_t vocab_size);

}  // namespace zebra
