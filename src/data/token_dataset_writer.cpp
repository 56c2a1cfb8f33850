#include "data/token_dataset_writer.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

namespace zebra {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "the files are little-endian");

fs::path path_beside(const fs::path& path, const char* purpose) {
  return path.string() + "." + purpose + "-" + std::to_string(::getpid());
}

/// Whether `folder` is a token dataset and nothing else, so that no stranger's file is ever
/// removed.
bool holds_only_a_dataset(const fs::path& folder) {
  static constexpr std::array kNames = {kTokensFile, kDocumentsFile, kLossMaskFile,
                                        kDescriptionFile};
  if (!fs::is_directory(folder) || !fs::exists(folder / kDescriptionFile)) return false;
  return std::all_of(fs::directory_iterator(folder), fs::directory_iterator(),
                     [](const fs::directory_entry& entry) {
                       return std::find(kNames.begin(), kNames.end(),
                                        entry.path().filename().string()) != kNames.end();
                     });
}

void check_output(const fs::path& output, bool overwrite) {
  if (!fs::exists(fs::symlink_status(output))) return;
  if (!overwrite) {
    throw InputError(output.string() +
                     ": exists already; choose another output or replace it with --overwrite");
  }
  if (!holds_only_a_dataset(output)) {
    throw InputError(output.string() +
                     ": is not a token dataset, so it is not replaced; choose another output or "
                     "remove it yourself");
  }
}

void move_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) throw RunError(to.string() + ": cannot put it in place: " + error.message());
}

}  // namespace

TokenDatasetWriter::TokenDatasetWriter(TokenDatasetWriterOptions options)
    : options_(std::move(options)) {
  options_.output = folder_path(options_.output);
  check_output(options_.output, options_.overwrite);
  partial_ = path_beside(options_.output, "partial");
  std::error_code error;
  fs::create_directories(partial_, error);
  if (error) throw RunError(partial_.string() + ": cannot create the folder: " + error.message());
  description_.vocab_size = options_.vocab_size;
  description_.token_bytes = token_bytes_for(options_.vocab_size);
  description_.tokenizer_hash = options_.tokenizer_hash;
  description_.chunk_bytes = options_.chunk_bytes;
  tokens_ = std::make_unique<ChunkedFileWriter>(partial_file(kTokensFile), options_.chunk_bytes);
  documents_ =
      std::make_unique<ChunkedFileWriter>(partial_file(kDocumentsFile), options_.chunk_bytes);
}

TokenDatasetWriter::~TokenDatasetWriter() {
  std::error_code ignored;
  if (!published_) fs::remove_all(partial_, ignored);
}

void TokenDatasetWriter::begin_document() {
  const auto begin = static_cast<std::uint64_t>(description_.tokens);
  documents_->write(&begin, sizeof begin);
  ++description_.documents;
}

void TokenDatasetWriter::append(std::span<const std::int32_t> tokens, bool count_as_targets) {
  if (description_.token_bytes == 2) {
    narrow_.assign(tokens.size(), 0);
    std::transform(tokens.begin(), tokens.end(), narrow_.begin(),
                   [](std::int32_t token) { return static_cast<std::uint16_t>(token); });
    tokens_->write(narrow_.data(), narrow_.size() * sizeof(std::uint16_t));
  } else {
    tokens_->write(tokens.data(), tokens.size_bytes());
  }
  if (!count_as_targets && loss_mask_ == nullptr) {
    loss_mask_ =
        std::make_unique<ChunkedFileWriter>(partial_file(kLossMaskFile), options_.chunk_bytes);
    append_to_loss_mask(1, static_cast<std::uint64_t>(description_.tokens));
  }
  if (loss_mask_ != nullptr) append_to_loss_mask(count_as_targets ? 1 : 0, tokens.size());
  description_.tokens += static_cast<std::int64_t>(tokens.size());
}

void TokenDatasetWriter::append_to_loss_mask(std::uint8_t value, std::uint64_t count) {
  std::array<std::uint8_t, 4096> block;
  block.fill(value);
  while (count > 0) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(count, block.size()));
    loss_mask_->write(block.data(), part);
    count -= part;
  }
}

void TokenDatasetWriter::finish() {
  const auto end = static_cast<std::uint64_t>(description_.tokens);
  documents_->write(&end, sizeof end);
  description_.token_file = tokens_->commit();
  description_.document_file = documents_->commit();
  if (loss_mask_ != nullptr) description_.loss_mask_file = loss_mask_->commit();
  FileWriter writer(partial_file(kDescriptionFile));
  writer.write(description_.to_json());
  writer.commit();
  flush_to_disk(partial_);
}

void TokenDatasetWriter::publish() {
  check_output(options_.output, options_.overwrite);
  const fs::path replaced = path_beside(options_.output, "replaced");
  const bool replaces = fs::exists(options_.output);
  if (replaces) move_folder(options_.output, replaced);
  try {
    move_folder(partial_, options_.output);
  } catch (...) {
    if (replaces) move_folder(replaced, options_.output);
    throw;
  }
  published_ = true;
  const fs::path parent = options_.output.parent_path();
  flush_to_disk(parent.empty() ? fs::path(".") : parent);
  std::error_code error;
  if (replaces) fs::remove_all(replaced, error);
  if (error)
    log_warning(replaced.string() + ": cannot remove what was replaced: " + error.message());
}

}  // namespace zebra
