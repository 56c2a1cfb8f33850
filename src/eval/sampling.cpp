#include "eval/sampling.h"

#include <algorithm>
#include <set>
#include <string>

#include "base/error.h"
#include "eval/perplexity.h"

namespace zebra {
namespace {

void penalize_repetition(const torch::Tensor& scores, std::span<const std::int32_t> text,
                         double penalty) {
  auto* const score = scores.mutable_data_ptr<double>();
  for (const auto token : std::set<std::int32_t>(text.begin(), text.end()))
    score[token] *= score[token] > 0.0 ? 1.0 / penalty : penalty;
}

}  // namespace

std::int32_t sample_token(const torch::Tensor& logits, const SamplingOptions& options,
                          double uniform, std::span<const std::int32_t> text) {
  if (!logits.isfinite().all().item<bool>())
    throw RunError(std::string("what the model predicts") + kNotFinite);
  const auto scores = logits.to(torch::kFloat64).cpu();
  if (options.repetition_penalty != 1.0)
    penalize_repetition(scores, text, options.repetition_penalty);
  const auto scaled = scores / options.temperature;
  // So near to 0 a temperature leaves nothing but the likeliest token.
  if (options.temperature == 0.0 || !scaled.isfinite().all().item<bool>())
    return static_cast<std::int32_t>(scores.argmax().item<std::int64_t>());
  const auto probabilities = torch::softmax(scaled, -1);
  const auto [sorted, tokens] =
      probabilities.sort(/*stable=*/true, /*dim=*/-1, /*descending=*/true);
  const auto cumulative = sorted.cumsum(-1);
  const auto* sum = cumulative.const_data_ptr<double>();
  const auto count =
      options.top_k > 0 ? std::min(options.top_k, cumulative.numel()) : cumulative.numel();

  const double wanted = options.top_p * sum[count - 1];
  std::int64_t kept = 1;
  while (kept < count && sum[kept - 1] < wanted) ++kept;
  const double point = uniform * sum[kept - 1];
  std::int64_t chosen = 0;
  while (chosen + 1 < kept && sum[chosen] <= point) ++chosen;
  return static_cast<std::int32_t>(tokens[chosen].item<std::int64_t>());
}

}  // namespace zebra
