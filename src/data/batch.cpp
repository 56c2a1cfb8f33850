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

struct Range {
  std::int64_t begin, end;
};

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

// The inputs and, shifted by one, the labels of the tokens from `first` on of a sample of `length`;
// 0 in padding.
void copy_tokens_of(const Sample& sample, std::int64_t length, std::int64_t first,
                    std::span<std::int32_t> inputs, std::span<std::int32_t> labels) {
  std::ranges::fill(inputs, 0);
  std::ranges::fill(labels, 0);
  std::int64_t at = 0;  // where the part begins
  for (const auto& part : parts_of(sample, length)) {
    const auto begin = std::max(first, at),
               end = std::min(first + std::ssize(inputs), at + part.inputs);
    if (begin < end) {
      const auto offset = static_cast<std::size_t>(begin - first),
                 size = static_cast<std::size_t>(end - begin);
      const auto place = part.begin + begin - at;
      sample.dataset->copy_inputs(place, inputs.subspan(offset, size));
      sample.dataset->copy_tokens(place + 1, labels.subspan(offset, size));
    }
    at += part.inputs;
  }
}

// The tokens of a sample that `share` holds: [begin, end) of each piece, in order.
std::vector<Range> ranges_of(ContextShare share, std::int64_t length) {
  if (share.is_whole()) return {{0, length}};
  std::vector<Range> ranges;
  const auto chunk = share.chunk_length(length);
  for (const auto number : share.chunks()) ranges.push_back({number * chunk, (number + 1) * chunk});
  return ranges;
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
                 bool pinned, LossWeighting weighting, ContextShare share) {
  const auto count = static_cast<std::int64_t>(samples.size());
  const auto own = length / share.ranks;
  Batch batch;
  batch.tokens = torch::empty({count, own}, torch::kInt64);
  batch.targets = torch::empty({count, own}, torch::kInt64);
  auto* tokens = batch.tokens.mutable_data_ptr<std::int64_t>();
  auto* targets = batch.targets.mutable_data_ptr<std::int64_t>();

  const auto ranges = ranges_of(share, length);
  const auto size = static_cast<std::size_t>(length);
  std::vector<std::int32_t> inputs(size), labels(size);
  std::vector<std::uint8_t> counts(size);
  std::vector<float> weights;
  std::vector<Starts> starts;
  bool any_start = false;
  for (const auto& sample : samples) {
    starts.push_back(mark_targets(sample, document_mask, counts));
    append_weights(sample, counts, starts.back(), weighting, weights);
    any_start = any_start || !starts.back().empty();
    for (const auto& [begin, end] : ranges) {
      const auto piece = [&, first = static_cast<std::size_t>(begin),
                          last = static_cast<std::size_t>(end)](std::vector<std::int32_t>& of) {
        return std::span(of).subspan(first, last - first);
      };
      copy_tokens_of(sample, length, begin, piece(inputs), piece(labels));
      for (auto t = static_cast<std::size_t>(begin); t < static_cast<std::size_t>(end); ++t) {
        *tokens++ = inputs[t];
        *targets++ = counts[t] != 0 ? labels[t] : kIgnoredTarget;
        batch.counted_targets += counts[t] != 0;
      }
    }
  }
  if (any_start) batch.documents = PackedDocuments::from_starts(starts, length).part_of(share);
  if (weighting == LossWeighting::sequence ||
      !std::ranges::all_of(weights, [](float weight) { return weight == 1.0F; })) {
    batch.target_weights =
        share.part_of(torch::tensor(weights, torch::kFloat32).view({count, length}));
  }
  if (pinned) {
    batch.tokens = batch.tokens.pin_memory();
    batch.targets = batch.targets.pin_memory();
    if (batch.target_weights.defined()) batch.target_weights = batch.target_weights.pin_memory();
    batch.documents = batch.documents.pinned();
  }
  return batch;
}

}  // namespace zebra
