#include "data/token_reference_writer.h"

#include <utility>
#include <vector>

#include "base/file.h"

namespace zebra {

TokenReferenceWriter::TokenReferenceWriter(TokenDatasetWriterOptions options)
    : folder_(options.output, options.overwrite),
      documents_(folder_.partial() / kDocumentsFile, options.chunk_bytes),
      loss_mask_(folder_.partial() / kLossMaskFile, options.chunk_bytes) {
  description_.vocab_size = options.vocab_size;
  description_.tokenizer_hash = std::move(options.tokenizer_hash);
  description_.label_stand_in = options.label_stand_in;
  description_.chunk_bytes = options.chunk_bytes;
}

void TokenReferenceWriter::add_piece(TokenPiece piece,
                                     std::span<const std::uint64_t> document_begins,
                                     std::int64_t text_bytes) {
  std::vector<std::uint64_t> positions(document_begins.begin(), document_begins.end());
  for (auto& position : positions) position += static_cast<std::uint64_t>(description_.tokens);
  if (!positions.empty())
    documents_.write(positions.data(), positions.size() * sizeof(std::uint64_t));
  description_.documents += static_cast<std::int64_t>(positions.size());
  description_.tokens += piece.tokens;
  description_.text_bytes += text_bytes;
  description_.pieces.push_back(std::move(piece));
}

void TokenReferenceWriter::finish() {
  const auto end = static_cast<std::uint64_t>(description_.tokens);
  documents_.write(&end, sizeof end);
  description_.document_file = documents_.commit();
  description_.loss_mask_file = loss_mask_.commit();
  FileWriter writer(folder_.partial() / kDescriptionFile);
  writer.write(description_.to_json());
  writer.commit();
  flush_to_disk(folder_.partial());
}

}  // namespace zebra
