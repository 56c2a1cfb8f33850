#include "data/token_dataset.h"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/message.h"
#include "base/system.h"
#include "base/text.h"
#include "data/token_bytes.h"

namespace zebra {
namespace {

template <class Value>
std::span<const Value> as_values(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const Value*>(bytes.data()), bytes.size() / sizeof(Value)};
}

/// Refuses a chunk with an id that is not below `vocab_size`.
ChunkedFile::Inspection id_inspection(const std::filesystem::path& file, std::int64_t token_bytes,
                                      std::int64_t vocab_size) {
  return [=](std::span<const std::byte> chunk, std::uint64_t first_byte) {
    const auto largest = largest_id(chunk, token_bytes);
    if (largest.id < static_cast<std::uint64_t>(vocab_size)) return;
    const auto at = first_byte / static_cast<std::uint64_t>(token_bytes) + largest.index;
    throw InputError(file.string() + ": token " + with_commas(static_cast<std::int64_t>(at)) +
                     " has the id " + id_text(largest.id, token_bytes) +
                     ", beyond the vocabulary of " + std::to_string(vocab_size) +
                     " ids; make the dataset with the run's tokenizer");
  };
}

void check_description(const std::string& dataset, const TokenDatasetDescription& description,
                       const std::string& tokenizer_hash, std::int64_t vocab_size) {
  if (description.tokenizer_hash != tokenizer_hash) {
    throw InputError(dataset + ": was made with another tokenizer (hash " +
                     description.tokenizer_hash + ") than the run's (hash " + tokenizer_hash +
                     "); make it again with the run's tokenizer or name the other one in "
                     "data.tokenizer");
  }
  if (description.vocab_size > vocab_size) {
    throw InputError(dataset + ": has ids of a vocabulary of " +
                     std::to_string(description.vocab_size) + ", the run's has only " +
                     std::to_string(vocab_size) + "; raise model.vocab_size or leave it out");
  }
}

}  // namespace

TokenDataset::TokenDataset(std::filesystem::path path, const std::string& tokenizer_hash,
                           std::int64_t vocab_size, std::uint64_t verify_whole_bytes)
    : path_(std::move(path)) {
  open(RunTokenizer{tokenizer_hash, vocab_size}, verify_whole_bytes);
}

TokenDataset::TokenDataset(std::filesystem::path path, std::uint64_t verify_whole_bytes)
    : path_(std::move(path)) {
  open(std::nullopt, verify_whole_bytes);
}

void TokenDataset::open(const std::optional<RunTokenizer>& run, std::uint64_t verify_whole_bytes) {
  const std::filesystem::path file = path_ / kDescriptionFile;
  if (const auto aside = dataset_set_aside(path_)) {
    throw InputError(path_.string() + ": is not there; replacing it was interrupted: rename " +
                     aside->string() + " to it, or pack it anew");
  }
  if (!std::filesystem::exists(file)) {
    throw InputError(path_.string() +
                     (std::filesystem::exists(path_)
                          ? ": is not a token dataset: it has no dataset.json; make one "
                          : ": does not exist; correct the path, or make the token dataset ") +
                     "with `zebra data pack --output " + shell_word(path_.string()) + " …`");
  }
  description_ = TokenDatasetDescription::from_json(read_file(file), file.string());
  fingerprint_ = description_.fingerprint();
  if (run) check_description(path_.string(), description_, run->hash, run->vocab_size);
  open_files(run ? run->vocab_size : description_.vocab_size);
  read_document_offsets();
  std::uint64_t bytes = 0;
  for (const auto& piece : pieces_) bytes += piece.file->bytes();
  if (bytes > verify_whole_bytes) return;
  for (const auto& piece : pieces_) piece.file->verified(0, piece.file->bytes());
  if (loss_mask_file_ != nullptr) loss_mask_file_->verified(0, loss_mask_file_->bytes());
}

TokenDataset::TokenDataset(std::filesystem::path name, TokenizedDocuments documents)
    : path_(std::move(name)), in_memory_(std::move(documents)) {
  description_.tokens = std::ssize(in_memory_->tokens);
  description_.documents = std::ssize(in_memory_->offsets) - 1;
  description_.text_bytes = in_memory_->text_bytes;
  document_offsets_ = in_memory_->offsets;
}

void TokenDataset::open_files(std::int64_t vocab_size) {
  constexpr std::size_t kFewFiles = 256;
  if (description_.pieces.size() > kFewFiles) raise_open_file_limit();
  std::int64_t begin = 0;
  for (const TokenPiece& piece : description_.all_pieces()) {
    const auto file = path_ / piece.file;
    pieces_.push_back(
        {begin, piece.token_bytes,
         std::make_unique<ChunkedFile>(file, piece.content, piece.part, description_.chunk_bytes,
                                       id_inspection(file, piece.token_bytes, vocab_size))});
    begin += piece.tokens;
  }
  const auto open_own = [this](const char* name, const ChunkedFileContent& content) {
    const auto accept_all = [](std::span<const std::byte>, std::uint64_t) {};
    return std::make_unique<ChunkedFile>(path_ / name, content, description_.chunk_bytes,
                                         accept_all);
  };
  document_file_ = open_own(kDocumentsFile, description_.document_file);
  if (description_.loss_mask_file) {
    loss_mask_file_ = open_own(kLossMaskFile, *description_.loss_mask_file);
  }
}

void TokenDataset::read_document_offsets() {
  document_offsets_ =
      as_values<std::uint64_t>(document_file_->verified(0, document_file_->bytes()));
  const bool ascending = std::ranges::adjacent_find(document_offsets_, std::greater_equal()) ==
                         document_offsets_.end();
  if (document_offsets_.front() != 0 || !ascending ||
      document_offsets_.back() != static_cast<std::uint64_t>(tokens())) {
    throw InputError((path_ / kDocumentsFile).string() +
                     ": does not ascend from 0 to the number of tokens; pack the dataset anew");
  }
}

void TokenDataset::check_range(std::int64_t begin, std::size_t count) const {
  if (begin < 0 || begin > tokens() || count > static_cast<std::uint64_t>(tokens() - begin)) {
    throw std::out_of_range(path_.string() + ": tokens " + std::to_string(begin) + " to " +
                            std::to_string(begin) + " + " + std::to_string(count) +
                            " are beyond its " + std::to_string(tokens()) + " tokens");
  }
}

void TokenDataset::copy_tokens(std::int64_t begin, std::span<std::int32_t> out) const {
  check_range(begin, out.size());
  if (in_memory_) {
    const auto tokens_in_memory = std::span(in_memory_->tokens);
    std::ranges::copy(tokens_in_memory.subspan(static_cast<std::size_t>(begin), out.size()),
                      out.begin());
    return;
  }
  auto piece = std::ranges::upper_bound(pieces_, begin, {}, &OpenPiece::begin) - 1;
  while (!out.empty()) {
    const auto width = static_cast<std::uint64_t>(piece->token_bytes);
    const auto first = static_cast<std::uint64_t>(begin - piece->begin);
    const auto count = static_cast<std::size_t>(
        std::min<std::uint64_t>(out.size(), piece->file->bytes() / width - first));
    copy_ids(piece->file->verified(first * width, count * width), piece->token_bytes,
             out.first(count));
    out = out.subspan(count);
    begin += static_cast<std::int64_t>(count);
    ++piece;
  }
}

void TokenDataset::copy_inputs(std::int64_t begin, std::span<std::int32_t> out) const {
  copy_tokens(begin, out);
  if (!has_labels_only()) return;
  std::vector<std::uint8_t> is_label(out.size());
  copy_loss_mask(begin, is_label);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (is_label[i] != 0) out[i] = *description_.label_stand_in;
}

void TokenDataset::copy_loss_mask(std::int64_t begin, std::span<std::uint8_t> out) const {
  check_range(begin, out.size());
  if (in_memory_) {
    const auto counts = std::span(in_memory_->counts_as_target);
    std::ranges::copy(counts.subspan(static_cast<std::size_t>(begin), out.size()), out.begin());
    return;
  }
  if (loss_mask_file_ == nullptr) {
    std::ranges::fill(out, std::uint8_t{1});
    return;
  }
  const auto bytes = loss_mask_file_->verified(static_cast<std::uint64_t>(begin), out.size());
  std::ranges::copy(as_values<std::uint8_t>(bytes), out.begin());
}

std::vector<std::int64_t> TokenDataset::document_starts(std::int64_t begin,
                                                        std::int64_t end) const {
  if (document_file_ != nullptr) document_file_->verified(0, document_file_->bytes());
  const auto starts = document_offsets_.first(document_offsets_.size() - 1);
  const auto first = std::ranges::upper_bound(starts, static_cast<std::uint64_t>(begin));
  const auto last = std::lower_bound(first, starts.end(), static_cast<std::uint64_t>(end));
  return {first, last};
}

TokenDatasetWriter::TokenDatasetWriter(TokenDatasetWriterOptions options)
    : options_(std::move(options)),
      folder_(options_.output, options_.overwrite),
      loss_mask_(partial_file(kLossMaskFile), options_.chunk_bytes) {
  description_.vocab_size = options_.vocab_size;
  description_.token_bytes = token_bytes_for(options_.vocab_size);
  description_.tokenizer_hash = options_.tokenizer_hash;
  description_.label_stand_in = options_.label_stand_in;
  description_.chunk_bytes = options_.chunk_bytes;
  tokens_ = std::make_unique<ChunkedFileWriter>(partial_file(kTokensFile), options_.chunk_bytes);
  documents_ =
      std::make_unique<ChunkedFileWriter>(partial_file(kDocumentsFile), options_.chunk_bytes);
}

void TokenDatasetWriter::begin_document() {
  const auto begin = static_cast<std::uint64_t>(description_.tokens);
  documents_->write(&begin, sizeof begin);
  ++description_.documents;
}

void TokenDatasetWriter::append(std::span<const std::int32_t> tokens, bool count_as_targets) {
  if (description_.token_bytes == 2) {
    const std::vector<std::uint16_t> narrow(tokens.begin(), tokens.end());
    tokens_->write(narrow.data(), narrow.size() * sizeof(std::uint16_t));
  } else {
    tokens_->write(tokens.data(), tokens.size_bytes());
  }
  loss_mask_.append(count_as_targets, tokens.size());
  description_.tokens += static_cast<std::int64_t>(tokens.size());
}

void TokenDatasetWriter::finish() {
  const auto end = static_cast<std::uint64_t>(description_.tokens);
  documents_->write(&end, sizeof end);
  description_.token_file = tokens_->commit();
  description_.document_file = documents_->commit();
  description_.loss_mask_file = loss_mask_.commit();
  FileWriter writer(partial_file(kDescriptionFile));
  writer.write(description_.to_json());
  writer.commit();
  flush_to_disk(folder_.partial());
}

}  // namespace zebra
