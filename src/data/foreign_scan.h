#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/foreign_tokens.h"
#include "data/token_dataset_format.h"
#include "data/tokenizer.h"

namespace zebra {

/// The id that stands at the start or at the end of each document.
struct DocumentSeparator {
  std::int64_t id = 0;
  SeparatorPlace place = SeparatorPlace::end;
};

/// What one pass over the tokens of a file tells.
struct ScannedTokens {
  TokenPiece piece;
  std::vector<std::uint64_t> document_begins;  // from the piece's first token, which is the first
  std::int64_t text_bytes = 0;                 // that the tokens stand for
  std::uint64_t largest_id = 0;
};

/// Reads the tokens once: hashes of their chunks, the largest id, the documents. `separator` is for
/// tokens without an index; `progress` is given the bytes that were read since its last call.
/// Throws InputError for an id that is not below the tokenizer's vocabulary, and where the
/// separator never occurs.
ScannedTokens scan_foreign_tokens(const ForeignTokens& tokens, const DocumentSeparator& separator,
                                  const Tokenizer& tokenizer, std::uint64_t chunk_bytes,
                                  const std::function<void(std::uint64_t)>& progress);

/// Hands out which tokens count as targets, in order and in parts.
void read_foreign_loss_mask(const ForeignLossMask& mask, std::int64_t tokens,
                            const std::function<void(std::span<const std::uint8_t>)>& take);

}  // namespace zebra
