#include "data/tokenizer_training.h"

#include <sentencepiece_trainer.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/system.h"
#include "base/text.h"
#include "data/document_reader.h"
#include "data/tokenizer.h"
#include "data/utf8.h"

namespace zebra {
namespace {

constexpr std::int64_t kReservedPieces = 3 + 2 + 256;  // control, newline and tab, bytes
constexpr std::size_t kLongestSentence = 4096;         // bytes

using Characters = std::unordered_set<std::string>;

/// Keeps an even sample of the texts it is given, whatever their number. Each text has a random
/// number and stays while that is below a bound, which is halved whenever the sample grows too big.
class TextSample {
 public:
  explicit TextSample(std::uint64_t most_bytes) : most_bytes_(most_bytes) {}

  void add(std::string text) {
    const double number = numbers_.uniform(count_++);
    if (number >= bound_) return;
    bytes_ += text.size();
    texts_.push_back({number, std::move(text)});
    while (bytes_ > most_bytes_) lower_bound();
  }

  const std::string& text(std::size_t i) const { return texts_[i].text; }
  std::size_t size() const { return texts_.size(); }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct NumberedText {
    double number;
    std::string text;
  };

  void lower_bound() {
    bound_ /= 2;
    std::erase_if(texts_, [this](const NumberedText& kept) { return kept.number >= bound_; });
    bytes_ = 0;
    for (const auto& kept : texts_) bytes_ += kept.text.size();
  }

  std::uint64_t most_bytes_;
  RandomStream numbers_ = RandomStream::named(0, "tokenizer sample");
  std::uint64_t count_ = 0;
  double bound_ = 1.0;
  std::uint64_t bytes_ = 0;
  std::vector<NumberedText> texts_;
};

/// Length of the separator that `text` begins with; 0 when it begins with none. What is reserved
/// within SentencePiece's trainer must not reach it, or it skips the sentence: tab and U+2585 mark
/// boundaries and rare characters there, U+2581 is a space. A NUL can be in no piece.
std::size_t separator_bytes(std::string_view text) {
  if (text.starts_with("\xE2\x96\x81") || text.starts_with("\xE2\x96\x85")) return 3;
  return text[0] == '\n' || text[0] == '\t' || text[0] == '\0' ? 1 : 0;
}

/// Hands the sample to the trainer in sentences that it takes: without separators, the characters
/// that get no piece among them, and not too long.
class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(const TextSample& sample, Characters without_piece = {})
      : sample_(sample), without_piece_(std::move(without_piece)) {
    Next();
  }

  bool done() const override { return sentence_.empty(); }
  const std::string& value() const override { return sentence_; }
  sentencepiece::util::Status status() const override { return {}; }

  void Next() override {
    sentence_.clear();
    while (sentence_.empty()) {
      if (rest_.empty()) {
        if (next_text_ == sample_.size()) return;
        rest_ = sample_.text(next_text_++);
      }
      take_sentence();
    }
  }

 private:
  std::size_t separator_at(std::size_t at) const {
    const std::string_view rest = rest_.substr(at);
    const std::size_t reserved = separator_bytes(rest);
    if (reserved > 0 || without_piece_.empty()) return reserved;
    const std::size_t bytes = character_bytes(rest);
    return without_piece_.contains(std::string(rest.substr(0, bytes))) ? bytes : 0;
  }

  void take_sentence() {
    std::size_t end = 0;
    while (end < rest_.size() && end <= kLongestSentence && separator_at(end) == 0) ++end;
    if (end > kLongestSentence) {
      const std::size_t space = rest_.rfind(' ', kLongestSentence);
      end = space != std::string_view::npos && space > 0
                ? space
                : character_boundary(rest_, kLongestSentence);
      sentence_ = rest_.substr(0, end);
      rest_.remove_prefix(end);
      return;
    }
    sentence_ = rest_.substr(0, end);
    rest_.remove_prefix(end);
    if (!rest_.empty()) rest_.remove_prefix(separator_at(0));
  }

  const TextSample& sample_;
  const Characters without_piece_;
  std::size_t next_text_ = 0;
  std::string_view rest_;
  std::string sentence_;
};

/// What keeps the output from being replaced; empty where nothing does.
std::string output_problem(const TokenizerTrainingOptions& options) {
  namespace fs = std::filesystem;
  if (fs::is_directory(options.output)) return "is a folder; name a file for the tokenizer";
  if (!fs::exists(options.output)) return "";
  if (!options.overwrite) {
    return "exists already; choose another output or replace it with --overwrite (datasets packed "
           "with it must then be packed again)";
  }
  for (const auto& input : options.input.inputs) {
    std::error_code error;
    if (fs::equivalent(input, options.output, error)) return "is an input; choose another output";
  }
  if (fs::is_regular_file(options.output) && fs::file_size(options.output) == 0) return "";
  try {
    const Tokenizer replaced(options.output);
  } catch (const InputError&) {
    return "is not a tokenizer, so it is not replaced; choose another output or remove it yourself";
  }
  return "";
}

void check_options(const TokenizerTrainingOptions& options) {
  Problems problems;
  const std::string problem = output_problem(options);
  if (!problem.empty()) problems.add(options.output.string() + ": " + problem);
  if (options.vocab_size <= kReservedPieces) {
    problems.add("the vocabulary size " + std::to_string(options.vocab_size) +
                 " is too small: " + std::to_string(kReservedPieces) +
                 " pieces are reserved (3 control tokens, newline, tab and 256 bytes); " +
                 "common sizes are 4096 to 65536");
  }
  if (!(options.character_coverage >= 0.98 && options.character_coverage <= 1.0)) {
    problems.add("the character coverage is " + round_trip(options.character_coverage) +
                 ": give 0.98 to 1; characters beyond it are encoded as bytes");
  }
  problems.throw_if_any();
}

TextSample read_sample(const TokenizerTrainingOptions& options, TokenizerTrainingReport& report) {
  DocumentReader reader(options.input);
  TextSample sample(options.sample_bytes);
  ProgressBar progress("reading", reader.bytes_total(), "bytes");
  while (auto segment = reader.next()) {
    report.text_bytes += static_cast<std::int64_t>(segment->text.size());
    sample.add(std::move(segment->text));
    progress.update(reader.bytes_read());
  }
  progress.finish(reader.bytes_read());
  report.skipped = reader.skipped();
  report.sampled_bytes = static_cast<std::int64_t>(sample.bytes());
  if (sample.size() == 0) throw InputError("the inputs hold no text to train a tokenizer on");
  return sample;
}

/// The number that follows `marker` in `message`, or an empty string.
std::string number_after(const std::string& message, const std::string& marker) {
  const std::size_t at = message.find(marker);
  if (at == std::string::npos) return "";
  const std::size_t begin = at + marker.size();
  return message.substr(begin, message.find_first_not_of("0123456789", begin) - begin);
}

[[noreturn]] void report_failure(const std::string& message, std::int64_t vocab_size) {
  const std::string wanted = "the vocabulary size " + std::to_string(vocab_size);
  const std::string largest = number_after(message, "Please set it to a value <= ");
  if (!largest.empty()) {
    throw InputError(wanted + " is too large for this text: at most " + largest +
                     " pieces can be made of it; give more text or a smaller size");
  }
  throw InputError("a tokenizer cannot be trained on this text: " + message);
}

/// All but the `most` most frequent characters of the sentences.
Characters rare_characters(Sentences sentences, std::int64_t most) {
  std::unordered_map<std::string, std::int64_t> counts;
  for (; !sentences.done(); sentences.Next()) {
    for (std::string_view rest = sentences.value(); !rest.empty();) {
      const std::size_t bytes = character_bytes(rest);
      if (bytes > 0) ++counts[std::string(rest.substr(0, bytes))];
      rest.remove_prefix(std::max<std::size_t>(bytes, 1));
    }
  }
  std::vector<std::pair<std::int64_t, std::string>> by_count;
  for (const auto& [character, count] : counts) by_count.emplace_back(-count, character);
  std::ranges::sort(by_count);
  Characters rare;
  for (std::size_t i = static_cast<std::size_t>(most); i < by_count.size(); ++i) {
    rare.insert(by_count[i].second);
  }
  return rare;
}

std::string train_model(const TextSample& sample, const TokenizerTrainingOptions& options,
                        TokenizerTrainingReport& report) {
  std::unordered_map<std::string, std::string> settings = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(options.vocab_size)},
      {"byte_fallback", "true"},
      {"normalization_rule_name", "identity"},
      {"remove_extra_whitespaces", "false"},
      {"add_dummy_prefix", "false"},
      {"allow_whitespace_only_pieces", "true"},
      {"user_defined_symbols", "\n,\t"},
      {"split_digits", "true"},
      {"character_coverage", round_trip(options.character_coverage)},
      {"max_sentence_length", std::to_string(kLongestSentence)},
      {"num_threads", "1"},
      {"unk_id", "0"},
      {"bos_id", "1"},
      {"eos_id", "2"},
      {"pad_id", "-1"},
      {"minloglevel", "2"},
  };
  Sentences sentences(sample);
  if (sentences.done()) throw InputError("the inputs hold no text to train a tokenizer on");
  std::string model;
  auto status = sentencepiece::SentencePieceTrainer::Train(settings, &sentences, &model);
  const std::string needed =
      number_after(status.message(), std::to_string(options.vocab_size) + " vs ");
  if (!status.ok() && !needed.empty()) {
    const auto room = options.vocab_size - kReservedPieces;
    auto rare = rare_characters(Sentences(sample), std::max<std::int64_t>(1, room / 2));
    report.characters_as_bytes = std::ssize(rare);
    log_warning("the text's characters alone would need a vocabulary of " + needed + ": " +
                with_commas(std::ssize(rare)) +
                " rare ones are encoded as bytes; a larger --vocab-size gives shorter sequences");
    settings["character_coverage"] = "1";
    Sentences fewer(sample, std::move(rare));
    status = sentencepiece::SentencePieceTrainer::Train(settings, &fewer, &model);
  }
  if (!status.ok()) report_failure(status.message(), options.vocab_size);
  return model;
}

}  // namespace

TokenizerTrainingReport train_tokenizer(const TokenizerTrainingOptions& options) {
  check_options(options);
  const double start = monotonic_seconds();
  TokenizerTrainingReport report;
  const TextSample sample = read_sample(options, report);
  log_info("training a tokenizer of " + std::to_string(options.vocab_size) + " pieces on " +
           with_byte_unit(static_cast<double>(report.sampled_bytes)) + " of text");
  const std::string model = train_model(sample, options, report);
  const auto folder = options.output.parent_path();
  std::error_code error;
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error) throw RunError(folder.string() + ": cannot create the folder: " + error.message());
  write_file_atomically(options.output, model);
  report.vocab_size = options.vocab_size;
  report.tokenizer_hash = hash_of(model);
  report.seconds = monotonic_seconds() - start;
  return report;
}

}  // namespace zebra
