#include "eval/probe_scores.h"

#include <algorithm>

#include "eval/windows.h"

namespace zebra {
namespace {

torch::Tensor token_tensor(const std::vector<ProbeSequence>& probes) {
  const auto length = static_cast<std::int64_t>(probes.front().tokens.size());
  auto tokens = torch::empty({static_cast<std::int64_t>(probes.size()), length}, torch::kInt64);
  auto* out = tokens.mutable_data_ptr<std::int64_t>();
  for (const auto& probe : probes) out = std::copy(probe.tokens.begin(), probe.tokens.end(), out);
  return tokens;
}

// Indices of the tokens that predict answers, in the flattened batch.
torch::Tensor predicting_positions(const std::vector<ProbeSequence>& probes) {
  std::vector<std::int64_t> positions;
  std::int64_t begin = 0;
  for (const auto& probe : probes) {
    for (const auto& answer : probe.answers) positions.push_back(begin + answer.position - 1);
    begin += static_cast<std::int64_t>(probe.tokens.size());
  }
  return torch::tensor(positions, torch::kInt64);
}

void score_batch(ZebraModel& model, const std::vector<ProbeSequence>& probes,
                 std::int64_t first_item, std::vector<AnswerScore>& scores) {
  const auto device = model->embedding_weight.device();
  const auto tokens = token_tensor(probes);
  const auto positions = predicting_positions(probes);
  const auto answers = tokens.flatten().index_select(0, positions + 1).unsqueeze(1);
  const auto hidden = model->forward(tokens.to(device)).flatten(0, 1);
  const auto logits =
      model->logits(hidden.index_select(0, positions.to(device))).to(torch::kFloat32);
  const auto of_answers = logits.gather(1, answers.to(device));
  const auto log_likelihood = (of_answers - logits.logsumexp(1, /*keepdim=*/true)).cpu();
  const auto is_exact = (of_answers >= logits.amax(1, /*keepdim=*/true)).cpu();

  const float* likelihood = log_likelihood.const_data_ptr<float>();
  const bool* exact = is_exact.const_data_ptr<bool>();
  for (std::size_t row = 0; row < probes.size(); ++row) {
    for (const auto& answer : probes[row].answers) {
      scores.push_back(
          {first_item + static_cast<std::int64_t>(row), answer.distance, *likelihood++, *exact++});
    }
  }
}

}  // namespace

std::vector<AnswerScore> score_probes(ZebraModel& model, const ProbeVocabulary& vocabulary,
                                      const ProbeEvaluation& evaluation) {
  const torch::NoGradGuard no_grad;
  const auto rows = rows_of_batch(evaluation.spec.length);
  std::vector<AnswerScore> scores;
  for (std::int64_t first = 0; first < evaluation.items; first += rows) {
    std::vector<ProbeSequence> probes;
    for (auto item = first; item < std::min(first + rows, evaluation.items); ++item) {
      probes.push_back(
          make_probe(evaluation.spec, vocabulary,
                     {ProbeSplit::evaluation, evaluation.seed, static_cast<std::uint64_t>(item)},
                     evaluation.text));
    }
    score_batch(model, probes, first, scores);
    if (evaluation.progress) evaluation.progress(std::min(first + rows, evaluation.items));
  }
  return scores;
}

}  // namespace zebra
