#include "data/training_data.h"

#include <numeric>

#include "base/error.h"

namespace zebra {

namespace {

void open_into(TokenDatasets& datasets, const std::vector<DataSource>& sources,
               const Tokenizer& tokenizer, std::int64_t vocab_size, Problems& problems) {
  for (const auto& source : sources) {
    try {
      datasets.push_back(std::make_unique<TokenDataset>(source.path, tokenizer.hash(), vocab_size));
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  }
}

}  // namespace

TokenDatasets open_datasets(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                            std::int64_t vocab_size) {
  TokenDatasets datasets;
  Problems problems;
  open_into(datasets, sources, tokenizer, vocab_size, problems);
  problems.throw_if_any();
  return datasets;
}

RunDatasets open_run_datasets(const Config& config, const Tokenizer& tokenizer) {
  RunDatasets datasets;
  Problems problems;
  const auto vocab_size = config.model.vocab_size;
  open_into(datasets.train, config.data.train, tokenizer, vocab_size, problems);
  open_into(datasets.validation, config.data.validation, tokenizer, vocab_size, problems);
  problems.throw_if_any();
  return datasets;
}

TrainingData::TrainingData(const Config& config, TokenDatasets sources, bool pinned,
                           DataShare share)
    : config_(config), pinned_(pinned), share_(share), sources_(std::move(sources)) {
  std::vector<std::int64_t> source_tokens;
  std::vector<std::optional<double>> given_weights;
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    source_tokens.push_back(sources_[s]->tokens());
    given_weights.push_back(config.data.train[s].weight);
  }
  weights_ = mixture_weights(source_tokens, given_weights);
  const double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  for (auto& weight : weights_) weight /= sum;

  Problems problems;
  std::vector<MixtureSource> mixture;
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    // A sample of S inputs needs the token behind them as its last target.
    const auto samples = (sources_[s]->tokens() - 1) / config.data.sequence_length;
    if (samples < 1 && weights_[s] > 0.0) {
      problems.add(sources_[s]->path().string() + ": holds " +
                   std::to_string(sources_[s]->tokens()) +
                   " tokens, fewer than one sample of data.sequence_length + 1 = " +
                   std::to_string(config.data.sequence_length + 1) +
                   " tokens; pack more text or set a smaller data.sequence_length");
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
  auto sample = static_cast<std::uint64_t>((step - 1) * train.global_batch_size);
  std::vector<Window> windows;
  for (std::int64_t i = 0; i < train.global_batch_size; ++i, ++sample) {
    const auto location = order_->at(sample);
    const Window window{sources_[static_cast<std::size_t>(location.source)].get(),
                        location.sample * length};
    if (i / own != share_.rank) {
      result.counted_targets += count_targets(window, length, config_.data.document_mask);
      continue;
    }
    windows.push_back(window);
    if (static_cast<std::int64_t>(windows.size()) == train.micro_batch_size) {
      result.micro_batches.push_back(
          make_batch(windows, length, config_.data.document_mask, pinned_));
      result.counted_targets += result.micro_batches.back().counted_targets;
      windows.clear();
    }
  }
  return result;
}

std::int64_t TrainingData::tokens() const {
  std::int64_t total = 0;
  for (const auto& source : sources_) total += source->tokens();
  return total;
}

}  // namespace zebra
