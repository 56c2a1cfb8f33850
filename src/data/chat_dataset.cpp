#include "data/chat_dataset.h"

#include <algorithm>
#include <span>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/system.h"
#include "base/text.h"
#include "data/chat_tokens.h"
#include "data/ordered_pipeline.h"
#include "data/token_dataset.h"

namespace zebra {
namespace {

constexpr std::size_t kChatBatchBytes = std::size_t{256} << 10;

struct LineBatch {
  std::vector<PlacedLine> lines;
  std::uint64_t bytes_read = 0;  // by the reader, up to the last line
};

/// What became of a line.
struct EncodedLine {
  enum class Fate { good, bad_line, without_target, control_text };

  Fate fate = Fate::good;
  std::string problem;  // of a line that is left out, for a message
  ChatTokens tokens;
  bool spells_token = false, half_surrogates = false;
};

struct EncodedBatch {
  std::vector<EncodedLine> lines;
  std::uint64_t bytes_read = 0;
};

std::optional<LineBatch> read_lines(DocumentReader& reader) {
  LineBatch batch;
  for (std::size_t bytes = 0; bytes < kChatBatchBytes;) {
    auto line = reader.next_json_line();
    if (!line) break;
    bytes += line->text.size();
    batch.lines.push_back(std::move(*line));
  }
  if (batch.lines.empty()) return std::nullopt;
  batch.bytes_read = reader.bytes_read();
  return batch;
}

class ChatLineEncoder {
 public:
  ChatLineEncoder(const ChatOptions& options, const Tokenizer& tokenizer,
                  const ChatRenderer& renderer)
      : options_(options), tokenizer_(tokenizer), renderer_(renderer) {}

  EncodedLine encode(const PlacedLine& line) const {
    using Fate = EncodedLine::Fate;
    const auto left_out = [&line](Fate fate, const std::string& reason, const char* way_out) {
      return EncodedLine{.fate = fate,
                         .problem = line.place + ": the line " + reason + ". " + way_out,
                         .tokens = {}};
    };
    constexpr const char* kMend = "Mend it, or leave such lines out with --skip-bad-lines.";
    const auto parsed = parse_conversation(line.text);
    if (const auto* problem = std::get_if<JsonLineProblem>(&parsed))
      return left_out(Fate::bad_line, problem->reason, kMend);
    const auto& conversation = std::get<Conversation>(parsed);
    const auto rendered = renderer_.render(conversation);
    if (const auto* problem = std::get_if<JsonLineProblem>(&rendered))
      return left_out(Fate::bad_line, problem->reason, kMend);
    const std::string spelled = renderer_.spelled_token(conversation);
    if (!spelled.empty() && !options_.keep_control_text) {
      return left_out(
          Fate::control_text,
          "holds a conversation whose text spells the control token " + quoted_text(spelled),
          "Mend it, leave such conversations out with --skip-bad-lines, or take it as "
          "text with --keep-control-text.");
    }
    auto tokens = encode_chat(std::get<std::vector<ChatPiece>>(rendered), tokenizer_);
    if (tokens.targets() == 0) {
      return left_out(Fate::without_target,
                      "holds a conversation of which nothing is trained: no message of the "
                      "assistant without \"train\": false",
                      kMend);
    }
    return {.fate = Fate::good,
            .problem = "",
            .tokens = std::move(tokens),
            .spells_token = !spelled.empty(),
            .half_surrogates = conversation.half_surrogates};
  }

 private:
  const ChatOptions& options_;
  const Tokenizer& tokenizer_;
  const ChatRenderer& renderer_;
};

/// Writes encoded conversations in order, and counts.
class ChatSink {
 public:
  ChatSink(const ChatOptions& options, const Tokenizer& tokenizer)
      : options_(options),
        writer_({.output = options.output,
                 .tokenizer_hash = tokenizer.hash(),
                 .vocab_size = tokenizer.vocab_size(),
                 .overwrite = options.overwrite}) {}

  void write(const EncodedLine& line) {
    using Fate = EncodedLine::Fate;
    if (line.fate != Fate::good && !options_.input.skip_bad_lines) throw InputError(line.problem);
    report_.bad_lines += line.fate == Fate::bad_line;
    report_.without_target += line.fate == Fate::without_target;
    report_.control_text += line.fate == Fate::control_text || line.spells_token;
    if (line.fate != Fate::good) return;
    report_.half_surrogates += line.half_surrogates;
    report_.targets += line.tokens.targets();
    report_.longest = std::max(report_.longest, std::ssize(line.tokens.ids));
    append(line.tokens);
  }

  std::int64_t tokens() const { return writer_.description().tokens; }

  ChatReport publish(const SkippedInput& skipped) {
    report_.bad_lines += skipped.bad_lines;
    if (writer_.description().documents == 0)
      throw InputError("the inputs hold no conversation that can be trained on");
    writer_.finish();
    writer_.publish();
    const auto& description = writer_.description();
    report_.dataset = {options_.output, description.documents, description.tokens,
                       description.text_bytes, description.fingerprint()};
    return report_;
  }

 private:
  void append(const ChatTokens& tokens) {
    writer_.begin_document();
    std::span<const std::int32_t> ids = tokens.ids;
    std::span<const std::uint8_t> trained = tokens.trained;
    while (!ids.empty()) {
      const auto end = std::ranges::find_if(trained, [&](auto t) { return t != trained.front(); });
      const auto count = static_cast<std::size_t>(end - trained.begin());
      writer_.append(ids.first(count), trained.front() != 0);
      ids = ids.subspan(count);
      trained = trained.subspan(count);
    }
    writer_.add_text_bytes(tokens.text_bytes);
  }

  const ChatOptions& options_;
  TokenDatasetWriter writer_;
  ChatReport report_;
};

/// What is read is never replaced by what is made of it.
void check_chat_output(const ChatOptions& options) {
  if (!std::filesystem::exists(options.output)) return;
  std::vector<std::filesystem::path> inputs = {options.tokenizer, options.chat_template};
  inputs.insert(inputs.end(), options.input.inputs.begin(), options.input.inputs.end());
  Problems problems;
  for (const auto& input : inputs) {
    if (input != kStandardInput && std::filesystem::exists(input) &&
        is_within(input, options.output)) {
      problems.add(options.output.string() + ": would be replaced, but the input " +
                   input.string() + " is it or lies within it; choose another output");
    }
  }
  problems.throw_if_any();
}

}  // namespace

ChatReport write_chat_dataset(const ChatOptions& options) {
  const double start = monotonic_seconds();
  check_chat_output(options);
  const Tokenizer tokenizer(options.tokenizer);
  tokenizer.require_text();
  const ChatRenderer renderer(open_chat_template(options.chat_template), tokenizer);
  const ChatLineEncoder encoder(options, tokenizer, renderer);
  DocumentReaderOptions input = options.input;
  input.format = InputFormat::jsonl;
  DocumentReader reader(input);
  ChatSink sink(options, tokenizer);
  ProgressBar progress("packing", reader.bytes_total(), "bytes");
  const auto token_count = [&sink] {
    return with_suffix(static_cast<double>(sink.tokens())) + " tokens";
  };

  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  run_in_order(
      options.threads > 0 ? options.threads : static_cast<int>(cores),
      [&] { return read_lines(reader); },
      [&](const LineBatch& batch, std::size_t) {
        EncodedBatch encoded{{}, batch.bytes_read};
        for (const auto& line : batch.lines) encoded.lines.push_back(encoder.encode(line));
        return encoded;
      },
      [&](const EncodedBatch& batch) {
        for (const auto& line : batch.lines) sink.write(line);
        progress.update(batch.bytes_read, token_count());
      });

  ChatReport report = sink.publish(reader.skipped());
  progress.finish(reader.bytes_read(), token_count());
  report.end_of_turn = renderer.end_of_turn();
  report.has_end_token = renderer.end_token() >= 0;
  report.seconds = monotonic_seconds() - start;
  return report;
}

}  // namespace zebra
