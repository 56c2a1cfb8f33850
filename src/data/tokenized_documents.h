#pragma once

#include <cstdint>
#include <functional>

#include "data/document_reader.h"
#include "data/token_dataset.h"
#include "data/tokenizer.h"

namespace zebra {

struct TokenizedInput {
  TokenizedDocuments documents;
  SkippedInput skipped;
  std::int64_t invalid_utf8_documents = 0;  ///< whose bytes that are no UTF-8 became U+FFFD
};

/// Reads documents and encodes them as `pack` does, to the same tokens, but into memory: for some
/// megabytes of text, on one thread. `progress` hears of bytes as they lie on the disk; the total
/// is 0 when it is unknown.
///
/// Throws the InputErrors of DocumentReader, and one where the inputs hold no text.
TokenizedInput tokenize_documents(
    const DocumentReaderOptions& input, const Tokenizer& tokenizer,
    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress = {});

}  // namespace zebra
