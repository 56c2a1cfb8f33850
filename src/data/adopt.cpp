#include "data/adopt.h"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/message.h"
#include "base/system.h"
#include "base/text.h"
#include "data/foreign_scan.h"
#include "data/token_reference_writer.h"

namespace zebra {
namespace {

void check_adoption_options(const AdoptOptions& options, const Tokenizer& tokenizer,
                            Problems& problems) {
  if (options.token_bytes && *options.token_bytes != 2 && *options.token_bytes != 4 &&
      *options.token_bytes != 8) {
    problems.add("--token-bytes is " + std::to_string(*options.token_bytes) + ": give 2, 4 or 8");
  }
  if (options.document_separator &&
      (*options.document_separator < 0 || *options.document_separator >= tokenizer.vocab_size())) {
    problems.add("--document-separator is " + std::to_string(*options.document_separator) +
                 ": the tokenizer's ids go from 0 to " +
                 std::to_string(tokenizer.vocab_size() - 1));
  }
}

/// All token files of the paths. What keeps one from being named in JSON, or from outliving the
/// output that is replaced, is a problem, too.
std::vector<ForeignTokens> tokens_to_adopt(const AdoptOptions& options, const Tokenizer& tokenizer,
                                           Problems& problems) {
  const auto token_bytes = options.token_bytes.value_or(token_bytes_for(tokenizer.vocab_size()));
  std::vector<ForeignTokens> result;
  for (const auto& path : options.paths) {
    try {
      for (auto& tokens : find_foreign_tokens(path, token_bytes)) {
        result.push_back(std::move(tokens));
      }
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  }
  const bool is_replaced = std::filesystem::exists(options.output);
  for (const auto& tokens : result) {
    if (!is_utf8(tokens.file.string())) {
      problems.add(tokens.file.string() +
                   ": its name is no UTF-8, which dataset.json needs; rename "
                   "it, or a folder above it");
    }
    if (is_replaced && is_within(tokens.file, options.output)) {
      problems.add(options.output.string() + ": would be replaced, but " + tokens.file.string() +
                   " lies within it; choose another output");
    }
  }
  return result;
}

DocumentSeparator separator_for(const ForeignTokens& tokens, const AdoptOptions& options,
                                const Tokenizer& tokenizer) {
  const std::int64_t common = tokens.separator_is_bos ? tokenizer.bos() : tokenizer.eos();
  return {options.document_separator.value_or(common),
          options.separator_place.value_or(tokens.separator_place)};
}

/// Scans file after file into the dataset, and goes on behind a problem to find all of them.
class Adoption {
 public:
  Adoption(const AdoptOptions& options, const Tokenizer& tokenizer, std::uint64_t bytes)
      : options_(options),
        tokenizer_(tokenizer),
        writer_(TokenDatasetWriterOptions{.output = options.output,
                                          .tokenizer_hash = tokenizer.hash(),
                                          .vocab_size = tokenizer.vocab_size(),
                                          .overwrite = options.overwrite,
                                          .chunk_bytes = options.chunk_bytes,
                                          .label_stand_in = std::nullopt}),
        progress_("adopting", bytes, "bytes") {}

  void add(const ForeignTokens& tokens, Problems& problems) {
    try {
      auto scanned = scan_foreign_tokens(
          tokens, separator_for(tokens, options_, tokenizer_), tokenizer_, options_.chunk_bytes,
          [this](std::uint64_t bytes) { progress_.update(done_ += bytes); });
      const auto documents = std::ssize(scanned.document_begins);
      largest_id_ = std::max(largest_id_, scanned.largest_id);
      report_.files.push_back({scanned.piece.file, tokens.format, tokens.tokens, documents});
      writer_.add_piece(std::move(scanned.piece), scanned.document_begins, scanned.text_bytes);
      if (!tokens.loss_mask) return writer_.add_targets(tokens.tokens);
      read_foreign_loss_mask(
          *tokens.loss_mask, tokens.tokens,
          [this](std::span<const std::uint8_t> counts) { writer_.add_loss_mask(counts); });
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  }

  AdoptReport publish() {
    writer_.finish();
    writer_.publish();
    progress_.finish(done_);
    report_.largest_id = static_cast<std::int64_t>(largest_id_);
    report_.description = writer_.description();
    return std::move(report_);
  }

 private:
  const AdoptOptions& options_;
  const Tokenizer& tokenizer_;
  TokenReferenceWriter writer_;
  ProgressBar progress_;
  std::uint64_t done_ = 0, largest_id_ = 0;
  AdoptReport report_;
};

/// A folder for files that nobody else shall see.
class PassingFolder {
 public:
  PassingFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "zebra-adopt-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw RunError(name + ": cannot create the folder: " + std::strerror(errno));
    path_ = name;
  }
  ~PassingFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  PassingFolder(const PassingFolder&) = delete;
  PassingFolder& operator=(const PassingFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

AdoptReport adopt(const AdoptOptions& options, const Tokenizer& tokenizer) {
  const double start = monotonic_seconds();
  Problems problems;
  check_adoption_options(options, tokenizer, problems);
  const auto all = tokens_to_adopt(options, tokenizer, problems);
  problems.throw_if_any();
  std::uint64_t bytes = 0;
  for (const auto& tokens : all) bytes += tokens.bytes();
  Adoption adoption(options, tokenizer, bytes);
  for (const auto& tokens : all) adoption.add(tokens, problems);
  problems.throw_if_any();
  AdoptReport report = adoption.publish();
  report.seconds = monotonic_seconds() - start;
  return report;
}

std::unique_ptr<TokenDataset> open_foreign_tokens(const std::filesystem::path& path,
                                                  const Tokenizer& tokenizer,
                                                  std::int64_t vocab_size) {
  log_info(path.string() +
           ": is read whole before each start, to hash it and to find its documents;"
           " once and for all: zebra data adopt " +
           shell_word(path.string()) + " --tokenizer " + shell_word(tokenizer.path().string()) +
           " --output DIR");
  // What is mapped into memory stays when its folder goes.
  const PassingFolder folder;
  AdoptOptions options;
  options.paths = {path};
  options.output = folder.path() / "dataset";
  adopt(options, tokenizer);
  constexpr std::uint64_t kVerifyNothingAgain = 0;
  auto dataset = std::make_unique<TokenDataset>(options.output, tokenizer.hash(), vocab_size,
                                                kVerifyNothingAgain);
  dataset->show_as(path);
  return dataset;
}

}  // namespace zebra
