#include "data/training_data.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "data/adopt.h"
#include "ops/vocabulary.h"

namespace zebra {
namespace {

constexpr std::int64_t kSamplesLookedAt = 256;

// [B, T], the same for all targets of a sample; undefined where all are 1.
torch::Tensor target_weights_of(std::span<const Sample> samples, std::int64_t length) {
  std::vector<float> weights;
  for (const auto& sample : samples) weights.push_back(sample.loss_weight);
  if (std::ranges::all_of(weights, [](float weight) { return weight == 1.0F; })) return {};
  const auto rows = static_cast<std::int64_t>(weights.size());
  return torch::tensor(weights, torch::kFloat32).unsqueeze(-1).expand({rows, length}).contiguous();
}

// Sets counts[t] to whether target t counts. Returns where documents begin inside the sample, from
// its own beginning, when they are to be kept apart.
std::vector<std::int64_t> mark_targets(const Sample& sample, std::int64_t length,
                                       bool document_mask, std::vector<std::uint8_t>& counts) {
  sample.dataset->copy_loss_mask(sample.begin + 1, counts);
  std::vector<std::int64_t> starts;
  if (!document_mask) return starts;
  for (const auto position :
       sample.dataset->document_starts(sample.begin, sample.begin + length + 1)) {
    const auto start = position - sample.begin;
    counts[static_cast<std::size_t>(start - 1)] = 0;
    if (start < length) starts.push_back(start);
  }
  return starts;
}

std::unique_ptr<TokenDataset> open_dataset(const std::filesystem::path& path,
                                           const Tokenizer& tokenizer, std::int64_t vocab_size) {
  if (names_foreign_tokens(path)) return open_foreign_tokens(path, tokenizer, vocab_size);
  return std::make_unique<TokenDataset>(path, tokenizer.hash(), vocab_size);
}

}  // namespace

std::int64_t count_targets(const Sample& sample, std::int64_t length, bool document_mask) {
  std::vector<std::uint8_t> counts(static_cast<std::size_t>(length));
  mark_targets(sample, length, document_mask, counts);
  return std::count_if(counts.begin(), counts.end(), [](std::uint8_t count) { return count != 0; });
}

Batch Batch::to(torch::Device device) const {
  const auto there = [&](const torch::Tensor& x) {
    return x.defined() ? x.to(device, /*non_blocking=*/true) : x;
  };
  return {there(tokens), there(targets), there(target_weights), documents.to(device),
          counted_targets};
}

Batch make_batch(std::span<const Sample> samples, std::int64_t length, bool document_mask,
                 bool pinned) {
  const auto count = static_cast<std::int64_t>(samples.size());
  Batch batch;
  batch.tokens = torch::empty({count, length}, torch::kInt64);
  batch.targets = torch::empty({count, length}, torch::kInt64);
  auto* tokens = batch.tokens.mutable_data_ptr<std::int64_t>();
  auto* targets = batch.targets.mutable_data_ptr<std::int64_t>();

  const auto size = static_cast<std::size_t>(length);
  std::vector<std::int32_t> inputs(size), labels(size);
  std::vector<std::uint8_t> counts(size);
  std::vector<std::vector<std::int64_t>> starts;
  bool any_start = false;
  for (const auto& sample : samples) {
    sample.dataset->copy_inputs(sample.begin, inputs);
    sample.dataset->copy_tokens(sample.begin + 1, labels);
    starts.push_back(mark_targets(sample, length, document_mask, counts));
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
  batch.target_weights = target_weights_of(samples, length);
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

TokenDatasets open_training_datasets(const Config& config, const Tokenizer& tokenizer) {
  return open_datasets(training_sources(config.data), tokenizer, config.model.vocab_size);
}

RunDatasets open_run_datasets(const Config& config, const Tokenizer& tokenizer) {
  auto sources = training_sources(config.data);
  const auto train = std::ssize(sources);
  sources.insert(sources.end(), config.data.validation.begin(), config.data.validation.end());
  RunDatasets datasets;
  datasets.train = open_datasets(sources, tokenizer, config.model.vocab_size);
  const auto validation = std::make_move_iterator(datasets.train.begin() + train);
  datasets.validation.assign(validation, std::make_move_iterator(datasets.train.end()));
  datasets.train.resize(static_cast<std::size_t>(train));
  return datasets;
}

TrainingData::TrainingData(const Config& config, TokenDatasets sources, bool pinned,
                           DataShare share)
    : config_(config), pinned_(pinned), share_(share), sources_(std::move(sources)) {
  for (const auto& stage : training_stages(config.data, config.train.max_steps))
    stages_.push_back(weighed(stage));
  check_lengths();
  order_ = order();
}

TrainingData::Stage TrainingData::weighed(const TrainingStage& stage) const {
  Stage result{stage.first_step, stage.steps_of(config_.train.max_steps), stage.last_step,
               std::vector<double>(sources_.size()), std::vector<float>(sources_.size())};
  std::vector<std::int64_t> tokens;
  std::vector<std::optional<double>> given;
  double largest_loss_weight = 0.0;
  for (std::size_t i = 0; i < stage.train.size(); ++i) {
    tokens.push_back(sources_[stage.numbers[i]]->tokens());
    given.push_back(stage.train[i].weight);
    largest_loss_weight = std::max(largest_loss_weight, stage.train[i].loss_weight);
  }
  const auto weights = mixture_weights(tokens, given);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (std::size_t i = 0; i < stage.train.size(); ++i) {
    result.weights[stage.numbers[i]] = weights[i] / sum;
    // Relative to the largest, which is 1 exactly: where all are alike none has an effect.
    result.loss_weights[stage.numbers[i]] =
        static_cast<float>(stage.train[i].loss_weight / largest_loss_weight);
  }
  return result;
}

void TrainingData::check_lengths() const {
  Problems problems;
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    const bool has_part =
        std::ranges::any_of(stages_, [s](const Stage& stage) { return stage.weights[s] > 0.0; });
    if (samples_of(s) >= 1 || !has_part) continue;
    problems.add(sources_[s]->path().string() + ": holds " + std::to_string(sources_[s]->tokens()) +
                 " tokens, fewer than one sample of data.sequence_length + 1 = " +
                 std::to_string(config_.data.sequence_length + 1) +
                 " tokens; pack more text or set a smaller data.sequence_length");
  }
  problems.throw_if_any();
}

StagedMixture TrainingData::order() const {
  std::vector<std::int64_t> samples;
  for (std::size_t s = 0; s < sources_.size(); ++s) samples.push_back(samples_of(s));
  std::vector<MixtureStage> mixture;
  for (const auto& stage : stages_) {
    mixture.push_back({std::nullopt, stage.weights});
    if (!stage.last_step) continue;
    const auto steps = *stage.last_step - stage.first_step + 1;
    mixture.back().samples = static_cast<std::uint64_t>(steps * config_.train.global_batch_size);
  }
  return {static_cast<std::uint64_t>(config_.run.seed), samples, mixture};
}

const TrainingData::Stage& TrainingData::stage_at(std::int64_t step) const {
  return *std::ranges::find_if(
      stages_, [step](const Stage& stage) { return step <= stage.last_step.value_or(step); });
}

StepBatch TrainingData::step(std::int64_t step) {
  const auto& train = config_.train;
  const auto length = config_.data.sequence_length;
  const auto own = train.global_batch_size / share_.ranks;
  StepBatch result;
  result.sources.resize(sources_.size());
  const Stage& stage = stage_at(step);
  auto number = static_cast<std::uint64_t>((step - 1) * train.global_batch_size);
  std::vector<Sample> samples;
  for (std::int64_t i = 0; i < train.global_batch_size; ++i, ++number) {
    const auto location = order_->at(number);
    const auto source = static_cast<std::size_t>(location.source);
    const Sample sample{sources_[source].get(), location.sample * length,
                        stage.loss_weights[source]};
    ++result.sources[source].samples;
    result.sources[source].targets += count_targets(sample, length, config_.data.document_mask);
    if (i / own != share_.rank) continue;
    samples.push_back(sample);
    if (static_cast<std::int64_t>(samples.size()) == train.micro_batch_size) {
      result.micro_batches.push_back(
          make_batch(samples, length, config_.data.document_mask, pinned_));
      samples.clear();
    }
  }
  weigh(result, stage);
  return result;
}

// From whole numbers of all ranks, so that each of them gets the same sum.
void TrainingData::weigh(StepBatch& batch, const Stage& stage) {
  const auto weight_of = [&](std::size_t s) {
    return static_cast<double>(stage.loss_weights[s]) *
           static_cast<double>(batch.sources[s].targets);
  };
  for (std::size_t s = 0; s < batch.sources.size(); ++s) {
    batch.counted_targets += batch.sources[s].targets;
    batch.target_weight += weight_of(s);
  }
  if (batch.counted_targets == 0) return;
  for (std::size_t s = 0; s < batch.sources.size(); ++s)
    batch.sources[s].loss_share = weight_of(s) / batch.target_weight;
}

std::int64_t TrainingData::tokens() const {
  std::int64_t total = 0;
  for (const auto& source : sources_) total += source->tokens();
  return total;
}

std::int64_t TrainingData::samples_of(std::size_t source) const {
  // A sample of S inputs needs the token behind them as its last target.
  return (sources_[source]->tokens() - 1) / config_.data.sequence_length;
}

double TrainingData::targets_per_sample(std::size_t source) const {
  const auto length = config_.data.sequence_length;
  const auto samples = samples_of(source), looked_at = std::min(samples, kSamplesLookedAt);
  if (looked_at == 0) return 0.0;
  std::int64_t targets = 0;
  for (std::int64_t i = 0; i < looked_at; ++i) {
    const Sample sample{sources_[source].get(), i * samples / looked_at * length};
    targets += count_targets(sample, length, config_.data.document_mask);
  }
  return static_cast<double>(targets) / static_cast<double>(looked_at);
}

std::vector<SourceShare> TrainingData::shares() const {
  std::vector<double> targets_of;
  for (std::size_t s = 0; s < sources_.size(); ++s) targets_of.push_back(targets_per_sample(s));
  std::vector<SourceShare> shares(sources_.size());
  for (const auto& stage : stages_) {
    const double part =
        static_cast<double>(stage.steps) / static_cast<double>(config_.train.max_steps);
    std::vector<double> targets, loss;
    for (std::size_t s = 0; s < sources_.size(); ++s) {
      targets.push_back(stage.weights[s] * targets_of[s]);
      loss.push_back(targets[s] * static_cast<double>(stage.loss_weights[s]));
    }
    const double all_targets = std::accumulate(targets.begin(), targets.end(), 0.0);
    const double all_loss = std::accumulate(loss.begin(), loss.end(), 0.0);
    for (std::size_t s = 0; s < sources_.size(); ++s) {
      shares[s].samples += part * stage.weights[s];
      if (all_targets == 0.0) continue;
      shares[s].targets += part * targets[s] / all_targets;
      shares[s].loss += part * loss[s] / all_loss;
    }
  }
  return shares;
}

std::vector<StageShares> TrainingData::stages() const {
  std::vector<StageShares> shares;
  for (const auto& stage : stages_) {
    if (stage.steps == 0) continue;
    std::vector<double> passes_of;
    for (std::size_t s = 0; s < sources_.size(); ++s) passes_of.push_back(passes(s, stage));
    shares.push_back({stage.first_step, stage.first_step + stage.steps - 1, stage.weights,
                      std::move(passes_of)});
  }
  return shares;
}

double TrainingData::passes(std::size_t source, const Stage& stage) const {
  const auto samples = samples_of(source);
  const auto drawn = static_cast<double>(stage.steps) *
                     static_cast<double>(config_.train.global_batch_size) * stage.weights[source];
  return samples > 0 ? drawn / static_cast<double>(samples) : 0.0;
}

double TrainingData::passes(std::size_t source) const {
  double sum = 0.0;
  for (const auto& stage : stages_) sum += passes(source, stage);
  return sum;
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
