#include "data/training_data.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "data/adopt.h"
#include "ops/vocabulary.h"

namespace zebra {
namespace {

constexpr std::int64_t kSamplesLookedAt = 256;

// Relative to the largest, which is 1 exactly: where all are alike none has an effect.
std::vector<float> relative_loss_weights(const std::vector<TrainingSource>& sources) {
  double largest = 0.0;
  for (const auto& source : sources) largest = std::max(largest, source.loss_weight);
  std::vector<float> weights;
  for (const auto& source : sources)
    weights.push_back(static_cast<float>(source.loss_weight / largest));
  return weights;
}

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

std::unique_ptr<TokenDataset> open_dataset(const std::filesystem::path& path,
                                           const Tokenizer& tokenizer, std::int64_t vocab_size) {
  if (names_foreign_tokens(path)) return open_foreign_tokens(path, tokenizer, vocab_size);
  return std::make_unique<TokenDataset>(path, tokenizer.hash(), vocab_size);
}

}  // namespace

SamplePlanOptions plan_options(const Config& config) {
  return {config.data.sequence_length, config.data.overflow,
          static_cast<std::uint64_t>(config.run.seed)};
}

std::filesystem::path plan_folder(const Config& config) { return config.run.dir / "packing"; }

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

TokenDatasets open_datasets(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                            std::int64_t vocab_size) {
  TokenDatasets datasets;
  Problems problems;
  for (const auto& source : sources) {
    try {
      datasets.push_back(open_dataset(source.path, tokenizer, vocab_size));
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  }
  problems.throw_if_any();
  return datasets;
}

std::vector<double> given_weights(const std::vector<DataSource>& sources) {
  std::vector<double> weights;
  for (const auto& source : sources)
    if (source.weight) weights.push_back(*source.weight);
  return weights;
}

std::vector<std::string> fingerprints_of(const TokenDatasets& datasets) {
  std::vector<std::string> fingerprints;
  for (const auto& dataset : datasets) fingerprints.push_back(dataset->fingerprint());
  return fingerprints;
}

RunDatasets open_run_datasets(const Config& config, const Tokenizer& tokenizer) {
  const auto& train = config.data.train;
  std::vector<DataSource> sources(train.begin(), train.end());
  sources.insert(sources.end(), config.data.validation.begin(), config.data.validation.end());
  RunDatasets datasets;
  datasets.train = open_datasets(sources, tokenizer, config.model.vocab_size);
  const auto validation = std::make_move_iterator(datasets.train.begin() + std::ssize(train));
  datasets.validation.assign(validation, std::make_move_iterator(datasets.train.end()));
  datasets.train.resize(train.size());
  return datasets;
}

TrainingData::TrainingData(const Config& config, TokenDatasets sources, bool pinned,
                           DataShare share)
    : config_(config), pinned_(pinned), share_(share), sources_(std::move(sources)) {
  plan_samples();
  std::vector<std::int64_t> source_tokens;
  std::vector<std::optional<double>> given_weights;
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    source_tokens.push_back(tokens_of(s));
    given_weights.push_back(config.data.train[s].weight);
  }
  weights_ = mixture_weights(source_tokens, given_weights);
  const double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  for (auto& weight : weights_) weight /= sum;
  loss_weights_ = relative_loss_weights(config.data.train);

  Problems problems;
  std::vector<MixtureSource> mixture;
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    const auto samples = samples_of(s);
    if (samples < 1 && weights_[s] > 0.0) {
      problems.add(
          sources_[s]->path().string() + ": holds " + std::to_string(sources_[s]->tokens()) +
          (plans_.empty() ? " tokens, fewer than one sample of data.sequence_length + 1 = " +
                                std::to_string(config.data.sequence_length + 1) +
                                " tokens; pack more text or set a smaller "
                                "data.sequence_length"
                          : " tokens, but no document of at least two tokens that fits "
                            "into a sample; pack others, or set a larger "
                            "data.sequence_length"));
    }
    mixture.push_back({samples, weights_[s]});
  }
  problems.throw_if_any();
  order_ = std::make_unique<MixtureOrder>(static_cast<std::uint64_t>(config.run.seed),
                                          std::move(mixture));
}

StepBatch TrainingData::step(std::int64_t step) {
  const auto& train = config_.train;
  const auto length = config_.data.sequence_length;
  const auto own = train.global_batch_size / share_.ranks;
  StepBatch result;
  result.sources.resize(sources_.size());
  auto number = static_cast<std::uint64_t>((step - 1) * train.global_batch_size);
  std::vector<Sample> samples;
  for (std::int64_t i = 0; i < train.global_batch_size; ++i, ++number) {
    const auto location = order_->at(number);
    const auto source = static_cast<std::size_t>(location.source);
    const auto sample = sample_of(source, location.sample);
    const auto count = count_targets(sample, length, config_.data.document_mask);
    auto& part = result.sources[source];
    ++part.samples;
    part.targets += count.targets;
    part.sequences += count.sequences;
    if (i / own != share_.rank) continue;
    samples.push_back(sample);
    if (static_cast<std::int64_t>(samples.size()) == train.micro_batch_size) {
      result.micro_batches.push_back(
          make_batch(samples, length, config_.data.document_mask, pinned_, train.loss_weighting));
      samples.clear();
    }
  }
  weigh(result);
  return result;
}

// From whole numbers of all ranks, so that each of them gets the same sum.
void TrainingData::weigh(StepBatch& batch) const {
  const auto weight_of = [&](std::size_t s) {
    const TargetCount count = {batch.sources[s].targets, batch.sources[s].sequences};
    return static_cast<double>(loss_weights_[s]) *
           static_cast<double>(count.weighed_by(config_.train.loss_weighting));
  };
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    batch.counted_targets += batch.sources[s].targets;
    batch.target_weight += weight_of(s);
  }
  if (batch.counted_targets == 0) return;
  for (std::size_t s = 0; s < sources_.size(); ++s)
    batch.sources[s].loss_share = weight_of(s) / batch.target_weight;
}

std::int64_t TrainingData::tokens() const {
  std::int64_t total = 0;
  for (const auto& source : sources_) total += source->tokens();
  return total;
}

void TrainingData::plan_samples() {
  if (config_.data.packing != Packing::whole) return;
  Problems problems;
  for (const auto& source : sources_) {
    try {
      plans_.push_back(open_sample_plan(plan_folder(config_), *source, plan_options(config_)));
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  }
  problems.throw_if_any();
}

void TrainingData::store_plans() const {
  for (std::size_t s = 0; s < plans_.size(); ++s)
    plans_[s].store(plan_folder(config_), *sources_[s], plan_options(config_));
}

std::vector<std::string> TrainingData::packing_notes() const {
  std::vector<std::string> notes;
  for (std::size_t s = 0; s < plans_.size(); ++s) {
    const auto& counts = plans_[s].counts();
    const auto inputs = plans_[s].samples() * config_.data.sequence_length;
    std::string note = sources_[s]->path().string() + ": " + with_commas(counts.documents) +
                       " whole documents in " + with_commas(plans_[s].samples()) + " samples, " +
                       percent(static_cast<double>(counts.padding) /
                               static_cast<double>(std::max<std::int64_t>(inputs, 1))) +
                       " padding";
    if (counts.too_long > 0) {
      note += "; " + with_commas(counts.too_long) + " longer than a sample " +
              (config_.data.overflow == Overflow::drop ? "left out" : "cut into parts");
    }
    if (counts.one_token > 0)
      note += "; " + with_commas(counts.one_token) + " of one token left out";
    notes.push_back(std::move(note));
  }
  return notes;
}

std::int64_t TrainingData::samples_of(std::size_t source) const {
  if (!plans_.empty()) return plans_[source].samples();
  // A sample of S inputs needs the token behind them as its last target.
  return (sources_[source]->tokens() - 1) / config_.data.sequence_length;
}

// By which sources without weights share the samples: so that each is read as often. Not 0, so that
// a source without a sample is missed.
std::int64_t TrainingData::tokens_of(std::size_t source) const {
  if (plans_.empty()) return sources_[source]->tokens();
  return std::max<std::int64_t>(1, plans_[source].samples() * config_.data.sequence_length);
}

Sample TrainingData::sample_of(std::size_t source, std::int64_t number) const {
  Sample sample{sources_[source].get(), number * config_.data.sequence_length,
                loss_weights_[source]};
  if (plans_.empty()) return sample;
  sample.parts = plans_[source].parts(number);
  sample.begin = sample.parts.front().begin;
  return sample;
}

// On average.
TrainingData::TargetsPerSample TrainingData::targets_per_sample(std::size_t source) const {
  const auto samples = samples_of(source), looked_at = std::min(samples, kSamplesLookedAt);
  TargetCount sum;
  for (std::int64_t i = 0; i < looked_at; ++i) {
    sum += count_targets(sample_of(source, i * samples / looked_at), config_.data.sequence_length,
                         config_.data.document_mask);
  }
  const auto per_sample = [looked_at](std::int64_t count) {
    return static_cast<double>(count) / static_cast<double>(looked_at);
  };
  return {per_sample(sum.targets), per_sample(sum.weighed_by(config_.train.loss_weighting))};
}

std::vector<SourceShare> TrainingData::shares() const {
  std::vector<SourceShare> shares;
  SourceShare sum;
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    const auto [targets, weight] = targets_per_sample(s);
    shares.push_back({weights_[s], weights_[s] * targets,
                      weights_[s] * weight * static_cast<double>(loss_weights_[s])});
    sum.targets += shares.back().targets;
    sum.loss += shares.back().loss;
  }
  if (sum.targets == 0.0) return shares;
  for (auto& share : shares) {
    share.targets /= sum.targets;
    share.loss /= sum.loss;
  }
  return shares;
}

double TrainingData::passes(std::size_t source) const {
  const auto samples = samples_of(source);
  const auto drawn = static_cast<double>(config_.train.max_steps) *
                     static_cast<double>(config_.train.global_batch_size) * weights_[source];
  return samples > 0 ? drawn / static_cast<double>(samples) : 0.0;
}

Prefetch::Prefetch(TrainingData& data, std::int64_t first, std::size_t depth)
    : data_(data), next_step_(first), thread_(1) {
  while (under_way_.size() < depth) begin_step();
}

void Prefetch::begin_step() {
  under_way_.push_back(
      thread_.run([this, step = next_step_++](std::size_t) { return data_.step(step); }));
}

StepBatch Prefetch::next() {
  begin_step();
  auto batch = std::move(under_way_.front());
  under_way_.pop_front();
  return batch.get();
}

}  // namespace zebra
