#include "data/pack.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/system.h"
#include "base/text.h"
#include "data/document_reader.h"
#include "data/ordered_pipeline.h"
#include "data/token_dataset.h"
#include "data/tokenizer.h"
#include "data/utf8.h"

namespace zebra {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{256} << 10;
constexpr std::size_t kMostSegmentsInBatch = 1024;
constexpr int kMostThreads = 1024;

/// With a tokenizer whose lines depend on one another a cut can change tokens: cut late.
constexpr std::size_t kLongestWholeDocument = std::size_t{16} << 20;

/// Segments that one worker encodes at a time, so that short documents cost little.
struct TextBatch {
  std::vector<Segment> segments;
  std::uint64_t bytes_read = 0;  // by the reader, up to the last segment
};

/// The segment, without its text, and what became of that.
struct EncodedSegment {
  Segment segment;
  std::size_t tokens = 0;
  std::int64_t text_bytes = 0;
  bool is_valid_utf8 = true;
  bool has_space_mark = false;
};

struct TokenBatch {
  std::vector<std::int32_t> tokens;  // of all segments, with BOS and EOS
  std::vector<EncodedSegment> segments;
  std::uint64_t bytes_read = 0;
};

std::optional<TextBatch> read_batch(DocumentReader& reader) {
  TextBatch batch;
  std::size_t bytes = 0;
  while (bytes < kBatchBytes && batch.segments.size() < kMostSegmentsInBatch) {
    auto segment = reader.next();
    if (!segment) break;
    bytes += segment->text.size();
    batch.segments.push_back(std::move(*segment));
  }
  if (batch.segments.empty()) return std::nullopt;
  batch.bytes_read = reader.bytes_read();
  return batch;
}

TokenBatch encode_batch(TextBatch batch, const Tokenizer& tokenizer, CachedEncoder& encoder) {
  TokenBatch result;
  const bool marks_spaces = tokenizer.files().contains(kSentencePieceFile);
  result.bytes_read = batch.bytes_read;
  for (Segment& segment : batch.segments) {
    const std::size_t before = result.tokens.size();
    const std::string text = std::exchange(segment.text, {});
    if (segment.begins_document) result.tokens.push_back(tokenizer.bos());
    encoder.encode(text, result.tokens, segment.continues_text);
    if (segment.ends_document) result.tokens.push_back(tokenizer.eos());
    result.segments.push_back({std::move(segment), result.tokens.size() - before, std::ssize(text),
                               is_valid_utf8(text) && !segment.half_surrogates,
                               marks_spaces && text.find(kSpaceMark) != std::string::npos});
  }
  return result;
}

bool is_held_out(const HoldoutOptions& holdout, std::uint64_t document) {
  return RandomStream::named(holdout.seed, "holdout").uniform(document) < holdout.fraction;
}

/// Where text files are to be divided so that their end is held out; nothing where some documents
/// are chosen and some are not, and where the inputs cannot be read twice or hold JSONL.
std::optional<std::uint64_t> place_of_division(const DocumentReaderOptions& input,
                                               const HoldoutOptions& holdout) {
  DocumentReader reader(input);
  if (reader.bytes_total() == 0) return std::nullopt;
  std::uint64_t bytes = 0, documents = 0, held_out = 0;
  while (const auto segment = reader.next()) {
    if (segment->begins_document && is_held_out(holdout, documents++)) ++held_out;
    if ((held_out > 0 && held_out < documents) || reader.is_reading_json()) return std::nullopt;
    bytes += segment->text.size();
  }
  return static_cast<std::uint64_t>((1.0 - holdout.fraction) * static_cast<double>(bytes));
}

/// Writes encoded documents, in order, to the dataset or to its held-out part.
class DocumentSink {
 public:
  /// `divides`: what is held out is behind the reader's division.
  DocumentSink(const PackOptions& options, const Tokenizer& tokenizer, bool divides)
      : options_(options), divides_(divides) {
    const auto open = [&](const std::filesystem::path& output) {
      return std::make_unique<TokenDatasetWriter>(
          TokenDatasetWriterOptions{.output = output,
                                    .tokenizer_hash = tokenizer.hash(),
                                    .vocab_size = tokenizer.vocab_size(),
                                    .overwrite = options.overwrite});
    };
    dataset_ = open(options.output);
    if (options.holdout) holdout_ = open(options.holdout->output);
  }

  void write(const TokenBatch& batch) {
    std::span<const std::int32_t> tokens = batch.tokens;
    for (const EncodedSegment& encoded : batch.segments) {
      const Segment& segment = encoded.segment;
      if (segment.begins_document) begin_document(segment);
      current_->append(tokens.first(encoded.tokens), segment.counts_as_target);
      current_->add_text_bytes(encoded.text_bytes);
      tokens = tokens.subspan(encoded.tokens);
      document_is_valid_ = document_is_valid_ && encoded.is_valid_utf8;
      document_has_mark_ = document_has_mark_ || encoded.has_space_mark;
      if (!segment.ends_document) continue;
      report_.invalid_utf8_documents += !document_is_valid_;
      report_.space_mark_documents += document_has_mark_;
    }
    tokens_ += static_cast<std::int64_t>(batch.tokens.size());
  }

  std::int64_t tokens() const { return tokens_; }

  /// Puts the output in place, all of it or none as far as that can be.
  PackReport publish(const SkippedInput& skipped) {
    report_.skipped = skipped;
    check_not_empty();
    dataset_->finish();
    if (holdout_ != nullptr) holdout_->finish();
    dataset_->publish();
    report_.dataset = packed(*dataset_, options_.output);
    if (holdout_ != nullptr) {
      holdout_->publish();
      report_.holdout = packed(*holdout_, options_.holdout->output);
    }
    return report_;
  }

 private:
  void begin_document(const Segment& segment) {
    const std::uint64_t number = documents_++;
    const bool goes_to_holdout =
        options_.holdout &&
        (divides_ ? segment.behind_division : is_held_out(*options_.holdout, number));
    current_ = goes_to_holdout ? holdout_.get() : dataset_.get();
    current_->begin_document();
    document_is_valid_ = true;
    document_has_mark_ = false;
  }

  void check_not_empty() const {
    const auto& skipped = report_.skipped;
    if (documents_ == 0) {
      throw InputError("the inputs hold no text: there is nothing to pack" +
                       (skipped.binary_files == 0 ? ""
                                                  : " (" + with_commas(skipped.binary_files) +
                                                        " files that are no text were left out)"));
    }
    if (holdout_ == nullptr) return;
    const auto held_out = static_cast<std::uint64_t>(holdout_->description().documents);
    if (held_out > 0 && held_out < documents_) return;
    throw InputError(
        "holding out " + round_trip(options_.holdout->fraction) + " of " +
        with_commas(static_cast<std::int64_t>(documents_)) + " documents takes " +
        (held_out == 0 ? "none" : "all") + " of them; " +
        (divides_ ? "they have no line end that the text can be divided at"
         : documents_ > 1
             ? "choose another --holdout or --holdout-seed"
             : "only a text file can be divided, not a line of JSONL or what comes through a pipe: "
               "put the text into a file of its own"));
  }

  static PackedDataset packed(const TokenDatasetWriter& writer, const std::filesystem::path& path) {
    const auto& description = writer.description();
    return {path, description.documents, description.tokens, description.text_bytes,
            description.fingerprint()};
  }

  const PackOptions& options_;
  const bool divides_;
  std::unique_ptr<TokenDatasetWriter> dataset_;
  std::unique_ptr<TokenDatasetWriter> holdout_;
  TokenDatasetWriter* current_ = nullptr;
  PackReport report_;
  std::uint64_t documents_ = 0;
  std::int64_t tokens_ = 0;
  bool document_is_valid_ = true;
  bool document_has_mark_ = false;
};

/// What is packed is never replaced by what is made of it.
void check_is_no_input(const std::filesystem::path& output, const PackOptions& options,
                       Problems& problems) {
  if (!std::filesystem::exists(output)) return;
  std::vector<std::filesystem::path> inputs = {options.tokenizer};
  inputs.insert(inputs.end(), options.input.inputs.begin(), options.input.inputs.end());
  for (const auto& input : inputs) {
    if (input != kStandardInput && is_within(input, output)) {
      problems.add(output.string() + ": would be replaced, but the input " + input.string() +
                   " is it or lies within it; choose another output");
    }
  }
}

void check_options(const PackOptions& options) {
  Problems problems;
  if (options.threads < 0) {
    problems.add("the number of threads is " + std::to_string(options.threads) +
                 ": give 1 or more, or 0 for one for each core");
  }
  if (options.threads > kMostThreads) {
    problems.add("the number of threads is " + std::to_string(options.threads) + ": give at most " +
                 std::to_string(kMostThreads));
  }
  if (options.input.max_line_bytes == 0) problems.add("--max-line-bytes is 0: give 1 or more");
  check_is_no_input(options.output, options, problems);
  if (options.holdout) {
    const double fraction = options.holdout->fraction;
    if (!(fraction > 0.0 && fraction < 1.0)) {
      problems.add("the held-out fraction is " + round_trip(fraction) +
                   ": give a number between 0 and 1, such as 0.01");
    }
    check_is_no_input(options.holdout->output, options, problems);
    if (is_within(options.output, options.holdout->output) ||
        is_within(options.holdout->output, options.output)) {
      problems.add(
          "the held-out output is the output itself or lies within it, or around it: give "
          "it a folder of its own");
    }
  }
  problems.throw_if_any();
}

}  // namespace

SegmentBytes segment_bytes_for(const Tokenizer& tokenizer) {
  if (tokenizer.lines_are_independent()) return {};
  return {kLongestWholeDocument, kLongestWholeDocument};
}

PackReport pack(const PackOptions& options) {
  check_options(options);
  const double start = monotonic_seconds();
  const Tokenizer tokenizer(options.tokenizer);
  tokenizer.require_text();
  DocumentReaderOptions input = options.input;
  input.segment_bytes = segment_bytes_for(tokenizer);
  if (options.holdout) input.divide_at = place_of_division(input, *options.holdout);
  DocumentReader reader(input);
  DocumentSink sink(options, tokenizer, input.divide_at.has_value());
  ProgressBar progress("packing", reader.bytes_total(), "bytes");
  const auto token_count = [&sink] {
    return with_suffix(static_cast<double>(sink.tokens())) + " tokens";
  };

  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  const int threads = options.threads > 0 ? options.threads : static_cast<int>(cores);
  std::vector<CachedEncoder> encoders(static_cast<std::size_t>(threads), CachedEncoder(tokenizer));
  run_in_order(
      threads, [&] { return read_batch(reader); },
      [&](TextBatch batch, std::size_t thread) {
        return encode_batch(std::move(batch), tokenizer, encoders[thread]);
      },
      [&](const TokenBatch& batch) {
        sink.write(batch);
        progress.update(batch.bytes_read, token_count());
      });

  PackReport report = sink.publish(reader.skipped());
  progress.finish(reader.bytes_read(), token_count());
  report.seconds = monotonic_seconds() - start;
  return report;
}

}  // namespace zebra
