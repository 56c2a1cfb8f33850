#include "data/tokenized_documents.h"

#include <iterator>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "data/pack.h"
#include "data/utf8.h"

namespace zebra {

TokenizedInput tokenize_documents(
    const DocumentReaderOptions& input, const Tokenizer& tokenizer,
    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) {
  DocumentReaderOptions options = input;
  options.segment_bytes = segment_bytes_for(tokenizer);
  DocumentReader reader(options);
  CachedEncoder encoder(tokenizer);
  TokenizedInput result;
  auto& [tokens, offsets, counts_as_target, text_bytes] = result.documents;
  bool is_valid = true;
  while (const auto segment = reader.next()) {
    if (segment->begins_document) {
      is_valid = true;
      offsets.push_back(tokens.size());
      tokens.push_back(tokenizer.bos());
    }
    encoder.encode(segment->text, tokens, segment->continues_text);
    text_bytes += std::ssize(segment->text);
    is_valid = is_valid && is_valid_utf8(segment->text) && !segment->half_surrogates;
    if (segment->ends_document) {
      tokens.push_back(tokenizer.eos());
      result.invalid_utf8_documents += is_valid ? 0 : 1;
    }
    counts_as_target.resize(tokens.size(), segment->counts_as_target ? 1 : 0);
    if (progress) progress(reader.bytes_read(), reader.bytes_total());
  }
  if (offsets.empty()) {
    std::vector<std::string> names;
    for (const auto& path : input.inputs) names.push_back(input_name(path));
    throw InputError(join(names, ", ") + ": holds no text");
  }
  offsets.push_back(tokens.size());
  result.skipped = reader.skipped();
  return result;
}

}  // namespace zebra
