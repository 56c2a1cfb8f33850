#include "eval/generate.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/random.h"

namespace zebra {
namespace {

// A text that is being written, in its row.
struct TextInProgress {
  std::size_t number;
  std::vector<std::int32_t> tokens;  // the prompt and what came behind it
  std::int64_t new_tokens;
  RandomStream stream;
  ModelCache cache;
};

class TextContinuation {
 public:
  TextContinuation(ZebraModel& model, const std::vector<TextToContinue>& texts, std::size_t rows,
                   const SamplingOptions& options, const TextListener& listener)
      : model_(model), texts_(texts), options_(options), listener_(listener), rows_(rows) {}

  void run() {
    while (fill_rows()) write_tokens();
  }

 private:
  // Begins texts in the rows that are free; whether any row has one then.
  bool fill_rows() {
    for (auto& row : rows_)
      while (!row && next_ < texts_.size()) row = begin(next_++);
    return std::ranges::any_of(rows_, [](const auto& row) { return row.has_value(); });
  }

  // Nothing where the text has ended with its first token.
  std::optional<TextInProgress> begin(std::size_t number) {
    const auto& [prompt, seed] = texts_[number];
    const auto longest = static_cast<std::int64_t>(prompt.size()) + options_.max_new_tokens;
    TextInProgress text = {
        .number = number,
        .tokens = prompt,
        .new_tokens = 0,
        .stream = RandomStream::named(static_cast<std::uint64_t>(seed), "generate"),
        .cache = model_->make_cache(longest)};
    const auto tokens =
        torch::tensor(std::vector<std::int64_t>(prompt.begin(), prompt.end()), torch::kInt64)
            .unsqueeze(0)
            .to(model_->embedding_weight.device());
    const auto hidden = model_->forward_cached(tokens, text.cache);
    if (!goes_on(text, model_->logits(hidden[0][-1]))) return std::nullopt;
    return text;
  }

  // One in each row that has a text.
  void write_tokens() {
    std::vector<std::int64_t> last;
    std::vector<ModelCache*> caches;
    for (auto& row : rows_) {
      last.push_back(row ? row->tokens.back() : 0);
      caches.push_back(row ? &row->cache : nullptr);
    }
    const auto tokens =
        torch::tensor(last, torch::kInt64).unsqueeze(1).to(model_->embedding_weight.device());
    const auto logits = model_->logits(model_->forward_cached(tokens, caches).select(1, 0));
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      auto& row = rows_[i];
      if (row && !goes_on(*row, logits[static_cast<std::int64_t>(i)])) row.reset();
    }
  }

  // Adds the token that is chosen by `logits` [V]; whether the text goes on behind it.
  bool goes_on(TextInProgress& text, const torch::Tensor& logits) {
    const auto uniform = text.stream.uniform(static_cast<std::uint64_t>(text.new_tokens));
    const auto token = sample_token(logits.to(torch::kFloat32), options_, uniform, text.tokens);
    if (token == options_.stop_token) return end(text, FinishReason::stop);
    text.tokens.push_back(token);
    ++text.new_tokens;
    if (listener_.on_token(text.number, token)) return end(text, FinishReason::stop);
    return text.new_tokens < options_.max_new_tokens || end(text, FinishReason::length);
  }

  bool end(const TextInProgress& text, FinishReason reason) {
    listener_.on_end(text.number, reason);
    return false;
  }

  ZebraModel& model_;
  const std::vector<TextToContinue>& texts_;
  const SamplingOptions& options_;
  const TextListener& listener_;
  std::vector<std::optional<TextInProgress>> rows_;
  std::size_t next_ = 0;
};

}  // namespace

std::string name_of(FinishReason reason) {
  return reason == FinishReason::stop ? "stop" : "length";
}

void continue_texts(ZebraModel& model, const std::vector<TextToContinue>& texts, std::size_t rows,
                    const SamplingOptions& options, const TextListener& listener) {
  const torch::NoGradGuard no_grad;
  TextContinuation(model, texts, rows, options, listener).run();
}

std::vector<std::int32_t> generate(ZebraModel& model, const std::vector<std::int32_t>& prompt,
                                   const SamplingOptions& options,
                                   const std::function<void(std::int32_t)>& on_token) {
  std::vector<std::int32_t> tokens;
  const TextListener listener = {.on_token =
                                     [&](std::size_t, std::int32_t token) {
                                       tokens.push_back(token);
                                       if (on_token) on_token(token);
                                       return false;
                                     },
                                 .on_end = [](std::size_t, FinishReason) {}};
  const TextToContinue text = {prompt, options.seed};
  continue_texts(model, {text}, 1, options, listener);
  return tokens;
}

}  // namespace zebra
