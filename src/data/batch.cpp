#include "data/batch.h"

#include <algorithm>
#include <vector>

#include "ops/vocabulary.h"

namespace zebra {
namespace {

std::vector<DocumentPart> parts_of(const Sample& sample, std::int64_t length) {
  if (sample.parts.empty()) return {{sample.begin, length}};
  return {sample.parts.begin(), sample.parts.end()};
}

// Where a document other than the first, or padding, begins in a sample.
using Starts = std::vector<std::int64_t>;

// Sets counts[t] to whether target t counts.
Starts mark_targets(const Sample& sample, bool document_mask, std::span<std::uint8_t> counts) {
  Starts starts;
  std::int64_t at = 0;
  for (const auto& [begin, inputs] : parts_of(sample, std::ssize(counts))) {
    if (at > 0) starts.push_back(at);
    const auto of_part =
        counts.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(inputs));
    sample.dataset->copy_loss_mask(begin + 1, of_part);
    at += inputs;
    if (!document_mask) continue;
    for (const auto position : sample.dataset->document_starts(begin, begin + inputs + 1)) {
      of_part[static_cast<std::size_t>(position - begin - 1)] = 0;
      if (position < begin + inputs) starts.push_back(at - inputs + position - begin);
    }
  }
  if (at == std::ssize(counts)) return starts;
  starts.push_back(at);
  std::ranges::fill(counts.subspan(static_cast<std::size_t>(at)), std::uint8_t{0});
  return starts;
}

// Calls `visit(counts of its targets, number of those that count)` for each sequence of a sample.
template <class Visit>
void for_each_sequence(std::span<const std::uint8_t> counts, const Starts& starts,
                       const Visit& visit) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= starts.size(); ++i) {
    const auto end = i < starts.size() ? static_cast<std::size_t>(starts[i]) : counts.size();
    const auto sequence = counts.subspan(begin, end - begin);
    visit(sequence, std::ssize(sequence) - std::ranges::count(sequence, std::uint8_t{0}));
    begin = end;
  }
}

// Appends the weight of each target of a sample; 0 where it does not count in LossWeighting
// ::sequence.
void append_weights(const Sample& sample, std::span<const std::uint8_t> counts,
                    const Starts& starts, LossWeighting weighting, std::vector<float>& weights) {
  if (weighting == LossWeighting::token) {
    weights.insert(weights.end(), counts.size(), sample.loss_weight);
    return;
  }
  for_each_sequence(counts, starts, [&](std::span<const std::uint8_t> sequence, auto targets) {
    for (const auto count : sequence)
      weights.push_back(count != 0 ? sample.loss_weight / static_cast<float>(targets) : 0.0F);
  });
}

// The inputs and, shifted by one, the labels of a sample; 0 in padding.
void copy_sample(const Sample& sample, std::span<std::int32_t> inputs,
                 std::span<std::int32_t> labels) {
  std::size_t at = 0;
  for (const auto& part : parts_of(sample, std::ssize(inputs))) {
    const auto size = static_cast<std::size_t>(part.inputs);
    sample.dataset->copy_inputs(part.begin, inputs.subspan(at, size));
    sample.dataset->copy_tokens(part.begin + 1, labels.subspan(at, size));
    at += size;
  }
  std::ranges::fill(inputs.subspan(at), 0);
  std::ranges::fill(labels.subspan(at), 0);
}

}  // namespace

TargetCount count_targets(const Sample& sample, std::int64_t length, bool document_mask) {
  std::vector<std::uint8_t> counts(static_cast<std::size_t>(length));
  const auto starts = mark_targets(sample, document_mask, counts);
  TargetCount result;
  for_each_sequence(counts, starts, [&](std::span<const std::uint8_t>, auto targets) {
    result += {targets, targets > 0 ? 1 : 0};
  });
  return result;
}

Batch Batch::to(torch::Device device) const {
  const auto there = [&](const torch::Tensor& x) {
    return x.defined() ? x.to(device, /*non_blocking=*/true) : x;
  };
  return {there(tokens), there(targets), there(target_weights), documents.to(device),
          counted_targets};
}

Batch make_batch(std::span<const Sample> samples, std::int64_t length, bool document_mask,
                 bool pinned, LossWeighting weighting) {
  const auto count = static_cast<std::int64_t>(samples.size());
  Batch batch;
  batch.tokens = torch::empty({count, length}, torch::kInt64);
  batch.targets = torch::empty({count, length}, torch::kInt64);
  auto* tokens = batch.tokens.mutable_data_ptr<std::int64_t>();
  auto* targets = batch.targets.mutable_data_ptr<std::int64_t>();

  const auto size = static_cast<std::size_t>(length);
  std::vector<std::int32_t> inputs(size), labels(size);
  std::vector<std::uint8_t> counts(size);
  std::vector<float> weights;
  std::vector<Starts> starts;
  bool any_start = false;
  for (const auto& sample : samples) {
    copy_sample(sample, inputs, labels);
    starts.push_back(mark_targets(sample, document_mask, counts));
    append_weights(sample, counts, starts.back(), weighting, weights);
    any_start = any_start || !starts.back().empty();
    for (std::size_t t = 0; t < size; ++t) {
      tokens[t] = inputs[t];
      targets[t] = counts[t] != 0 ? labels[t] : kIgnoredTarget;
      batch.counted_targets += counts[t] != 0;
    }
    tokens += length;
    targets += length;
  }
  if (any_start) batch.documents = PackedDocuments::from_starts(starts, length);
  if (weighting == LossWeighting::sequence ||
      !std::ranges::all_of(weights, [](float weight) { return weight == 1.0F; }))
    batch.target_weights = torch::tensor(weights, torch::kFloat32).view({count, length});
  if (pinned) {
    batch.tokens = batch.tokens.pin_memory();
    batch.targets = batch.targets.pin_memory();
    if (batch.target_weights.defined()) batch.target_weights = batch.target_weights.pin_memory();
    batch.documents = batch.documents.pinned();
  }
  return batch;
}

}  // namespace zebra
