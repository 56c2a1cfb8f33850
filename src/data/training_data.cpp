#include "data/training_data.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "data/adopt.h"

namespace zebra {
namespace {

constexpr std::int64_t kSamplesLookedAt = 256;

std::unique_ptr<TokenDataset> open_dataset(const std::filesystem::path& path,
                                           const Tokenizer& tokenizer, std::int64_t vocab_size) {
  if (names_foreign_tokens(path)) return open_foreign_tokens(path, tokenizer, vocab_size);
  return std::make_unique<TokenDataset>(path, tokenizer.hash(), vocab_size);
}

}  // namespace

DataShare data_share(const ParallelSection& parallel, int rank, int ranks) {
  const int sharing = static_cast<int>(parallel.context);
  return {rank / sharing, ranks / sharing, {rank % sharing, sharing}};
}

SamplePlanOptions plan_options(const Config& config) {
  return {config.data.sequence_length, config.data.overflow,
          static_cast<std::uint64_t>(config.run.seed)};
}

std::filesystem::path plan_folder(const Config& config) { return config.run.dir / "packing"; }

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
  plan_samples();
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
    tokens.push_back(tokens_of(stage.numbers[i]));
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
    const std::string reason =
        plans_.empty()
            ? " tokens, fewer than one sample of data.sequence_length + 1 = " +
                  std::to_string(config_.data.sequence_length + 1) +
                  " tokens; pack more text or set a smaller data.sequence_length"
            : " tokens, but no document of at least two tokens that fits into a sample; pack "
              "others, or set a larger data.sequence_length";
    problems.add(sources_[s]->path().string() + ": holds " + std::to_string(sources_[s]->tokens()) +
                 reason);
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
    Sample sample = sample_of(source, location.sample);
    sample.loss_weight = stage.loss_weights[source];
    const auto count = count_targets(sample, length, config_.data.document_mask);
    auto& part = result.sources[source];
    ++part.samples;
    part.targets += count.targets;
    part.sequences += count.sequences;
    if (i / own != share_.rank) continue;
    samples.push_back(sample);
    if (static_cast<std::int64_t>(samples.size()) == train.micro_batch_size) {
      result.micro_batches.push_back(make_batch(samples, length, config_.data.document_mask,
                                                pinned_, train.loss_weighting, share_.context));
      samples.clear();
    }
  }
  weigh(result, stage);
  return result;
}

// From whole numbers of all ranks, so that each of them gets the same sum.
void TrainingData::weigh(StepBatch& batch, const Stage& stage) const {
  const auto weight_of = [&](std::size_t s) {
    const TargetCount count = {batch.sources[s].targets, batch.sources[s].sequences};
    return static_cast<double>(stage.loss_weights[s]) *
           static_cast<double>(count.weighed_by(config_.train.loss_weighting));
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
  Sample sample{sources_[source].get(), number * config_.data.sequence_length};
  if (plans_.empty()) return sample;
  sample.parts = plans_[source].parts(number);
  sample.begin = sample.parts.front().begin;
  return sample;
}

// On average.
TrainingData::TargetsPerSample TrainingData::targets_per_sample(std::size_t source) const {
  const auto samples = samples_of(source), looked_at = std::min(samples, kSamplesLookedAt);
  if (looked_at == 0) return {};
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
  std::vector<TargetsPerSample> per_sample;
  for (std::size_t s = 0; s < sources_.size(); ++s) per_sample.push_back(targets_per_sample(s));
  std::vector<SourceShare> shares(sources_.size());
  for (const auto& stage : stages_) {
    const double part =
        static_cast<double>(stage.steps) / static_cast<double>(config_.train.max_steps);
    std::vector<double> targets, loss;
    for (std::size_t s = 0; s < sources_.size(); ++s) {
      targets.push_back(stage.weights[s] * per_sample[s].targets);
      loss.push_back(stage.weights[s] * per_sample[s].weight *
                     static_cast<double>(stage.loss_weights[s]));
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
