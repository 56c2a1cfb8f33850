#include "eval/generate.h"

#include <span>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "eval/perplexity.h"

namespace zebra {
namespace {

// Tokens that are decoded with a new one, at least: how it is written may depend on them.
constexpr std::size_t kContextTokens = 32;

}  // namespace

std::int32_t sample_token(const torch::Tensor& logits, double temperature, double top_p,
                          double uniform) {
  if (!logits.isfinite().all().item<bool>())
    throw RunError(std::string("what the model predicts") + kNotFinite);
  const auto scaled = logits.to(torch::kFloat64).cpu() / temperature;
  // So near to 0 a temperature leaves nothing but the likeliest token.
  if (temperature == 0.0 || !scaled.isfinite().all().item<bool>())
    return static_cast<std::int32_t>(logits.argmax().item<std::int64_t>());
  const auto probabilities = torch::softmax(scaled, -1);
  const auto [sorted, tokens] =
      probabilities.sort(/*stable=*/true, /*dim=*/-1, /*descending=*/true);
  const auto cumulative = sorted.cumsum(-1);
  const auto* sum = cumulative.const_data_ptr<double>();
  const auto count = cumulative.numel();

  std::int64_t kept = 1;
  while (kept < count && sum[kept - 1] < top_p) ++kept;
  const double point = uniform * sum[kept - 1];
  std::int64_t chosen = 0;
  while (chosen + 1 < kept && sum[chosen] <= point) ++chosen;
  return static_cast<std::int32_t>(tokens[chosen].item<std::int64_t>());
}

std::vector<std::int32_t> generate(ZebraModel& model, const std::vector<std::int32_t>& prompt,
                                   const SamplingOptions& options,
                                   const std::function<void(std::int32_t)>& on_token) {
  const torch::NoGradGuard no_grad;
  const auto stream = RandomStream::named(static_cast<std::uint64_t>(options.seed), "generate");
  const auto device = model->embedding_weight.device();
  auto cache = model->make_cache(static_cast<std::int64_t>(prompt.size()) + options.max_new_tokens);
  auto input = torch::tensor(std::vector<std::int64_t>(prompt.begin(), prompt.end()), torch::kInt64)
                   .unsqueeze(0)
                   .to(device);

  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < options.max_new_tokens; ++i) {
    const auto hidden = model->forward_cached(input, cache);
    const auto logits = model->logits(hidden[0][-1]).to(torch::kFloat32);
    const auto token = sample_token(logits, options.temperature, options.top_p,
                                    stream.uniform(static_cast<std::uint64_t>(i)));
    if (token == options.stop_token) break;
    tokens.push_back(token);
    if (on_token) on_token(token);
    input = torch::full({1, 1}, token, torch::TensorOptions(device).dtype(torch::kInt64));
  }
  return tokens;
}

GeneratedText::GeneratedText(const Tokenizer& tokenizer, std::vector<std::int32_t> prompt)
    : tokenizer_(tokenizer), tokens_(std::move(prompt)) {
  take(recent_text());
}

std::string GeneratedText::recent_text() const {
  return tokenizer_.decode(std::span(tokens_).subspan(begin_));
}

std::string GeneratedText::add(std::int32_t token) {
  tokens_.push_back(token);
  const std::string text = recent_text();
  return text.ends_with("\xEF\xBF\xBD") ? "" : take(text);  // U+FFFD: an unfinished character
}

std::string GeneratedText::finish() { return take(recent_text()); }

std::string GeneratedText::take(const std::string& text) {
  const std::string added = text.substr(std::min(taken_, text.size()));
  taken_ = text.size();
  if (tokens_.size() - begin_ > 2 * kContextTokens) {
    begin_ = tokens_.size() - kContextTokens;
    taken_ = recent_text().size();
  }
  return added;
}

}  // namespace zebra
