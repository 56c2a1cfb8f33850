#include "eval/text_recall.h"

#include <algorithm>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "data/bigram_counts.h"
#include "eval/perplexity.h"

namespace zebra {
namespace {

struct ContextTarget {
  std::uint64_t rank;
  std::size_t sample;
  std::int64_t position;  // in its sample
  double loss;            // with all of its context

  bool operator<(const ContextTarget& other) const {
    return std::pair(rank, sample) < std::pair(other.rank, other.sample);
  }
};

/// Of the targets whose context can be cut to `kept` tokens before the predicting one, the `size`
/// of lowest random rank, which depends on the seed and the target's place only.
class ContextTargets {
 public:
  ContextTargets(std::int64_t size, std::int64_t kept, std::uint64_t seed)
      : size_(static_cast<std::size_t>(size)),
        kept_(kept),
        stream_(RandomStream::named(seed, "text recall context")) {}

  /// Tokens of a cut sample.
  std::int64_t cut_length() const { return kept_ + 1; }
  /// That cutting all of them takes the model to read.
  std::int64_t most_tokens() const { return static_cast<std::int64_t>(size_) * cut_length(); }

  /// `context`: tokens before the predicting one that it may see.
  void offer(std::size_t sample, std::int64_t position, std::int64_t length, std::int64_t context,
             double loss) {
    if (context <= kept_) return;
    const auto place =
        sample * static_cast<std::uint64_t>(length) + static_cast<std::uint64_t>(position);
    chosen_.push({stream_.bits(place), sample, position, loss});
    if (chosen_.size() > size_) chosen_.pop();
  }

  std::vector<ContextTarget> in_order() const {
    auto rest = chosen_;
    std::vector<ContextTarget> targets;
    for (; !rest.empty(); rest.pop()) targets.push_back(rest.top());
    std::ranges::sort(targets, {}, [](const ContextTarget& target) {
      return std::pair(target.sample, target.position);
    });
    return targets;
  }

 private:
  std::size_t size_;
  std::int64_t kept_;
  RandomStream stream_;
  std::priority_queue<ContextTarget> chosen_;
};

class TextRecallEvaluation {
 public:
  TextRecallEvaluation(ZebraModel& model, const TokenDatasets& train,
                       const TokenDatasets& validation, const TextRecallOptions& options)
      : model_(model),
        options_(options),
        training_pairs_(train),
        context_targets_(options.context_targets, options.bands.window, options.seed),
        long_context_targets_(options.long_context_targets, short_context(options.length),
                              options.seed) {
    for (const auto& dataset : cut_into_samples(validation, options.length, options.max_tokens))
      samples_.insert(samples_.end(), dataset.whole.begin(), dataset.whole.end());
    for (auto& losses : result_.recall) resize(losses);
    resize(result_.rest);
    total_ = static_cast<std::int64_t>(samples_.size()) * options.length +
             context_targets_.most_tokens() + long_context_targets_.most_tokens();
  }

  TextRecall run() {
    report(0);
    std::size_t sample = 0;
    for (const auto& batch : batches_of(samples_, options_.length)) {
      add(losses_of(model_, batch, options_.document_mask), batch.samples, sample);
      sample += batch.samples.size();
      report(batch);
    }
    if (counted_ == 0) {
      throw InputError("the evaluation data holds no target that counts in whole windows of " +
                       std::to_string(options_.length) +
                       " tokens; use more data, a shorter length or a larger max_tokens");
    }
    cut_context(context_targets_, result_.context);
    cut_context(long_context_targets_, result_.long_context);
    return std::move(result_);
  }

 private:
  void resize(SampleLosses& losses) const {
    losses.nats.resize(samples_.size());
    losses.tokens.resize(samples_.size());
  }

  void add(const BatchLosses& losses, std::span<const Sample> samples, std::size_t first_sample) {
    const auto& [batch, loss] = losses;
    const auto length = options_.length;
    const bool packed = batch.documents.is_packed();
    for (std::size_t row = 0; row < samples.size(); ++row) {
      const auto offset = static_cast<std::int64_t>(row) * length;
      add_sample(
          first_sample + row,
          {batch.tokens.const_data_ptr<std::int64_t>() + offset,
           batch.targets.const_data_ptr<std::int64_t>() + offset,
           packed ? batch.documents.first_token.const_data_ptr<std::int64_t>() + offset : nullptr,
           loss.const_data_ptr<float>() + offset});
    }
  }

  // Rows of one sample; first_token is null where the whole sample is one document.
  struct SampleRow {
    const std::int64_t* tokens;
    const std::int64_t* targets;
    const std::int64_t* first_token;
    const float* losses;
  };

  void add_sample(std::size_t sample, const SampleRow& row) {
    const auto distances =
        source_distances(samples_[sample], options_.length, options_.document_mask);
    for (std::int64_t t = 0; t < options_.length; ++t) {
      if (row.targets[t] == kIgnoredTarget) continue;
      ++counted_;
      auto& losses =
          class_of(row.tokens[t], row.targets[t], distances[static_cast<std::size_t>(t)]);
      losses.nats[sample] += row.losses[t];
      ++losses.tokens[sample];
      const auto context = t - (row.first_token != nullptr ? row.first_token[t] : 0);
      for (auto* targets : {&context_targets_, &long_context_targets_})
        targets->offer(sample, t, options_.length, context, row.losses[t]);
    }
  }

  SampleLosses& class_of(std::int64_t token, std::int64_t target, std::int64_t distance) {
    const bool recalled =
        distance != kNoSource && training_pairs_.is_rare(static_cast<std::int32_t>(token),
                                                         static_cast<std::int32_t>(target));
    return recalled ? result_.recall[static_cast<std::size_t>(options_.bands.band_of(distance))]
                    : result_.rest;
  }

  // Fills in the losses of the chosen targets.
  void cut_context(const ContextTargets& chosen, ContextLosses& context) {
    const auto cut_length = chosen.cut_length();
    std::vector<Sample> samples;
    for (const auto& target : chosen.in_order()) {
      const auto& whole = samples_[target.sample];
      samples.push_back({whole.dataset, whole.begin + target.position - (cut_length - 1)});
      context.full.push_back(target.loss);
    }
    total_ -= chosen.most_tokens() - static_cast<std::int64_t>(samples.size()) * cut_length;
    for (const auto& batch : batches_of(samples, cut_length)) {
      const auto losses = losses_of(model_, batch, options_.document_mask).losses;
      const auto last = losses.select(1, -1).to(torch::kFloat64).contiguous();
      const double* loss = last.const_data_ptr<double>();
      context.cut.insert(context.cut.end(), loss, loss + last.numel());
      report(batch);
    }
  }

  void report(const SampleBatch& batch) {
    report(static_cast<std::int64_t>(batch.samples.size()) * batch.length);
  }
  void report(std::int64_t more) {
    done_ += more;
    if (options_.progress) options_.progress(done_, total_);
  }

  ZebraModel& model_;
  const TextRecallOptions& options_;
  BigramCounts training_pairs_;
  ContextTargets context_targets_, long_context_targets_;
  std::vector<Sample> samples_;
  TextRecall result_;
  std::int64_t counted_ = 0, done_ = 0, total_ = 0;
};

}  // namespace

std::vector<std::int64_t> source_distances(const Sample& sample, std::int64_t length,
                                           bool document_mask) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(length + 1));
  sample.dataset->copy_tokens(sample.begin, tokens);
  const auto starts = sample.dataset->document_starts(sample.begin, sample.begin + length + 1);
  auto start = starts.begin();
  std::int64_t first = 0;  // of what the prediction may see
  std::vector<std::int64_t> distances(static_cast<std::size_t>(length), kNoSource);
  std::unordered_map<std::uint64_t, std::int64_t> latest;
  latest.reserve(distances.size());
  for (std::int64_t t = 0; t < length; ++t) {
    const auto index = static_cast<std::size_t>(t);
    if (start != starts.end() && *start == sample.begin + t + 1) {
      if (document_mask) first = t + 1;
      ++start;
      continue;
    }
    const auto pair = std::uint64_t{static_cast<std::uint32_t>(tokens[index])} << 32 |
                      static_cast<std::uint32_t>(tokens[index + 1]);
    const auto [found, is_first] = latest.try_emplace(pair, t);
    if (is_first) continue;
    if (found->second >= first) distances[index] = t - (found->second + 1);
    found->second = t;
  }
  return distances;
}

TextRecall evaluate_text_recall(ZebraModel& model, const TokenDatasets& train,
                                const TokenDatasets& validation, const TextRecallOptions& options) {
  return TextRecallEvaluation(model, train, validation, options).run();
}

}  // namespace zebra
