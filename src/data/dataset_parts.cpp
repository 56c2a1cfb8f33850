#include "data/dataset_parts.h"

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/text.h"
#include "data/token_dataset.h"
#include "data/token_reference_writer.h"

namespace zebra {
namespace {

/// Tokens [begin, end) of a dataset, whose documents begin with `begin`.
struct TokenRange {
  const TokenDataset& dataset;
  std::int64_t begin, end;
};

std::filesystem::path file_of_piece(const TokenDataset& dataset, const TokenPiece& piece) {
  return std::filesystem::absolute(dataset.path() / piece.file).lexically_normal();
}

/// Hashes of a part of a piece, which is verified on the way.
std::vector<std::string> hashes_of_part(const TokenDataset& dataset, const TokenPiece& piece,
                                        std::uint64_t begin, std::uint64_t bytes,
                                        std::uint64_t chunk_bytes) {
  const ChunkedFile file(file_of_piece(dataset, piece), piece.content, piece.part,
                         dataset.description().chunk_bytes,
                         [](std::span<const std::byte>, std::uint64_t) {});
  ProgressBar progress("hashing", bytes, "bytes");
  std::vector<std::string> hashes;
  for (std::uint64_t at = 0; at < bytes; at += chunk_bytes) {
    const auto chunk = file.verified(begin + at, std::min(chunk_bytes, bytes - at));
    hashes.push_back(hash_of({reinterpret_cast<const char*>(chunk.data()), chunk.size()}));
    progress.update(at + chunk.size());
  }
  progress.finish(bytes);
  return hashes;
}

/// Tokens [begin, end) of a piece, counted from its first.
TokenPiece part_of_piece(const TokenDataset& dataset, const TokenPiece& piece, std::int64_t begin,
                         std::int64_t end, std::uint64_t chunk_bytes) {
  TokenPiece result = piece;
  result.file = file_of_piece(dataset, piece);
  const bool is_whole = begin == 0 && end == piece.tokens;
  if (is_whole && chunk_bytes == dataset.description().chunk_bytes) return result;
  const auto width = static_cast<std::uint64_t>(piece.token_bytes);
  const auto first_byte = static_cast<std::uint64_t>(begin) * width;
  result.tokens = end - begin;
  result.part.first_byte += first_byte;
  result.content.bytes = static_cast<std::uint64_t>(result.tokens) * width;
  result.content.chunk_hashes =
      hashes_of_part(dataset, piece, first_byte, result.content.bytes, chunk_bytes);
  return result;
}

std::vector<std::uint64_t> document_begins_in(const TokenDataset& dataset, std::int64_t begin,
                                              std::int64_t end) {
  const auto offsets = dataset.document_offsets();
  const auto first = std::ranges::lower_bound(offsets, static_cast<std::uint64_t>(begin));
  const auto last = std::ranges::lower_bound(offsets, static_cast<std::uint64_t>(end));
  std::vector<std::uint64_t> begins(first, last);
  for (auto& position : begins) position -= static_cast<std::uint64_t>(begin);
  return begins;
}

/// Of all text bytes of the dataset those in front of a position, if all tokens had the same.
std::int64_t text_bytes_before(const TokenDataset& dataset, std::int64_t position) {
  const double share = static_cast<double>(position) / static_cast<double>(dataset.tokens());
  return static_cast<std::int64_t>(share * static_cast<double>(dataset.text_bytes()));
}

void add_loss_mask_of(const TokenRange& range, TokenReferenceWriter& writer) {
  if (!range.dataset.description().loss_mask_file)
    return writer.add_targets(range.end - range.begin);
  constexpr std::int64_t kBlock = std::int64_t{1} << 20;
  std::vector<std::uint8_t> counts;
  for (std::int64_t at = range.begin; at < range.end; at += kBlock) {
    counts.resize(static_cast<std::size_t>(std::min(kBlock, range.end - at)));
    range.dataset.copy_loss_mask(at, counts);
    writer.add_loss_mask(counts);
  }
}

void add_range(const TokenRange& range, TokenReferenceWriter& writer) {
  const auto& dataset = range.dataset;
  std::int64_t piece_begin = 0;
  for (const TokenPiece& piece : dataset.description().all_pieces()) {
    const auto begin = std::max(range.begin, piece_begin);
    const auto end = std::min(range.end, piece_begin + piece.tokens);
    if (begin < end) {
      writer.add_piece(part_of_piece(dataset, piece, begin - piece_begin, end - piece_begin,
                                     writer.description().chunk_bytes),
                       document_begins_in(dataset, begin, end),
                       text_bytes_before(dataset, end) - text_bytes_before(dataset, begin));
    }
    piece_begin += piece.tokens;
  }
  add_loss_mask_of(range, writer);
}

TokenDatasetWriterOptions options_like(const TokenDataset& dataset,
                                       const std::filesystem::path& output, bool overwrite) {
  const auto& description = dataset.description();
  return {.output = output,
          .tokenizer_hash = description.tokenizer_hash,
          .vocab_size = description.vocab_size,
          .overwrite = overwrite,
          .chunk_bytes = description.chunk_bytes,
          .label_stand_in = description.label_stand_in};
}

/// The output must not replace what it is to name, and JSON must be able to name it.
void check_files_stay(const TokenDataset& dataset, const std::filesystem::path& output,
                      Problems& problems) {
  const bool is_replaced = std::filesystem::exists(output);
  for (const auto& piece : dataset.description().all_pieces()) {
    const auto file = file_of_piece(dataset, piece);
    if (!is_utf8(file.string())) {
      problems.add(file.string() +
                   ": its name is no UTF-8, which dataset.json needs; rename it, or "
                   "a folder above it");
    }
    if (is_replaced && is_within(file, output)) {
      problems.add(output.string() + ": would be replaced, but it holds " + file.string() +
                   ", which stays where it is; choose another output");
    }
  }
}

/// What keeps two datasets from being read as one.
void check_alike(const TokenDataset& first, const TokenDataset& other, Problems& problems) {
  const auto &a = first.description(), &b = other.description();
  const std::string both =
      other.path().string() + ": cannot be merged with " + first.path().string() + ": ";
  if (a.tokenizer_hash != b.tokenizer_hash || a.vocab_size != b.vocab_size) {
    problems.add(both + "the one was made with another tokenizer (hash " + b.tokenizer_hash +
                 ") than the other (hash " + a.tokenizer_hash + ")");
  }
  if (a.label_stand_in != b.label_stand_in) {
    problems.add(both +
                 "in one of them what counts as a target is a label that nobody reads; name "
                 "both in data.train instead");
  }
}

}  // namespace

TokenDatasetDescription merge_datasets(const MergeOptions& options) {
  Problems problems;
  TokenDatasets datasets;
  constexpr std::uint64_t kVerifyNothing = 0;  // hashes are carried over
  for (const auto& path : options.datasets) {
    try {
      datasets.push_back(std::make_unique<TokenDataset>(path, kVerifyNothing));
      check_files_stay(*datasets.back(), options.output, problems);
      check_alike(*datasets.front(), *datasets.back(), problems);
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  }
  problems.throw_if_any();
  TokenReferenceWriter writer(options_like(*datasets.front(), options.output, options.overwrite));
  for (const auto& dataset : datasets) add_range({*dataset, 0, dataset->tokens()}, writer);
  writer.finish();
  writer.publish();
  return writer.description();
}

SplitReport split_dataset(const SplitOptions& options) {
  constexpr std::uint64_t kVerifyWhatIsTouched = 0;
  const TokenDataset dataset(options.dataset, kVerifyWhatIsTouched);
  Problems problems;
  check_files_stay(dataset, options.output, problems);
  check_files_stay(dataset, options.holdout_output, problems);
  if (is_within(options.output, options.holdout_output) ||
      is_within(options.holdout_output, options.output)) {
    problems.add(
        "the held-out output is the output itself or lies within it, or around it: give it "
        "a folder of its own");
  }
  if (dataset.documents() < 2)
    problems.add(options.dataset.string() + ": has one document, which is not divided");
  problems.throw_if_any();
  const auto wanted =
      static_cast<std::uint64_t>((1.0 - options.holdout) * static_cast<double>(dataset.tokens()));
  // The first and the last offset would leave one side empty.
  const auto offsets = dataset.document_offsets();
  const auto inner = offsets.subspan(1, offsets.size() - 2);
  const auto found = std::ranges::lower_bound(inner, wanted);
  const auto at = static_cast<std::int64_t>(found == inner.end() ? inner.back() : *found);
  TokenReferenceWriter kept(options_like(dataset, options.output, options.overwrite));
  TokenReferenceWriter held_out(options_like(dataset, options.holdout_output, options.overwrite));
  add_range({dataset, 0, at}, kept);
  add_range({dataset, at, dataset.tokens()}, held_out);
  kept.finish();
  held_out.finish();
  kept.publish();
  held_out.publish();
  return {kept.description(), held_out.description()};
}

}  // namespace zebra
