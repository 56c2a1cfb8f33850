#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/error.h"
#include "base/text.h"

namespace zebra {
namespace {

constexpr std::int64_t kBatchTokens = 8192;

DatasetSamples cut_dataset(const TokenDataset& dataset, std::int64_t length,
                           std::int64_t max_tokens) {
  const std::int64_t predictable = dataset.tokens() - 1;
  const bool limited = max_tokens < predictable;
  const std::int64_t whole = (limited ? max_tokens : predictable) / length;
  DatasetSamples samples;
  for (std::int64_t i = 0; i < whole; ++i) samples.whole.push_back({&dataset, i * length});
  const std::int64_t rest = predictable - whole * length;
  if (!limited && rest > 0) samples.partial = {Sample{&dataset, whole * length}, rest};
  return samples;
}

}  // namespace

std::vector<DatasetSamples> cut_into_samples(const TokenDatasets& datasets, std::int64_t length,
                                             std::int64_t max_tokens) {
  std::int64_t left = max_tokens > 0 ? max_tokens : std::numeric_limits<std::int64_t>::max();
  std::vector<DatasetSamples> cut;
  for (const auto& dataset : datasets) {
    cut.push_back(cut_dataset(*dataset, length, left));
    left -= cut.back().tokens(length);
  }
  return cut;
}

std::int64_t rows_of_batch(std::int64_t length) {
  return std::max<std::int64_t>(1, kBatchTokens / length);
}

std::vector<SampleBatch> batches_of(std::span<const Sample> samples, std::int64_t length) {
  const auto rows = static_cast<std::size_t>(rows_of_batch(length));
  std::vector<SampleBatch> batches;
  for (std::size_t i = 0; i < samples.size(); i += rows)
    batches.push_back({samples.subspan(i, std::min(rows, samples.size() - i)), length});
  return batches;
}

BatchLosses losses_of(ZebraModel& model, const SampleBatch& samples, bool document_mask) {
  auto batch = make_batch(samples.samples, samples.length, document_mask, /*pinned=*/false);
  const auto on_device = batch.to(model->embedding_weight.device());
  const auto losses =
      model->token_losses(on_device.tokens, on_device.targets, on_device.documents).to(torch::kCPU);
  return {std::move(batch), losses};
}

namespace {

std::vector<PositionBucket> empty_buckets(std::int64_t length) {
  std::vector<PositionBucket> buckets;
  for (std::int64_t begin = 0, end = 1; begin < length; begin = end, end *= 2) {
    buckets.push_back({begin, std::min(end, length)});
  }
  return buckets;
}

// All samples, those of a dataset's end last.
std::vector<SampleBatch> batches_of(const std::vector<DatasetSamples>& datasets,
                                    std::int64_t length) {
  std::vector<SampleBatch> batches;
  for (const auto& samples : datasets) {
    const auto whole = batches_of(std::span(samples.whole), length);
    batches.insert(batches.end(), whole.begin(), whole.end());
    if (samples.partial) batches.push_back({{&samples.partial->first, 1}, samples.partial->second});
  }
  return batches;
}

class Evaluation {
 public:
  Evaluation(ZebraModel& model, const Tokenizer& tokenizer, const EvaluationOptions& options)
      : model_(model), options_(options), device_(model->embedding_weight.device()) {
    result_.length = options.length;
    result_.by_position = empty_buckets(options.length);
    for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
      text_bytes_.push_back(tokenizer.text_bytes(id));
    }
  }

  /// `counts` is false for a pass that only keeps step with other ranks.
  void add(const SampleBatch& samples, bool counts) {
    const auto [batch, losses] = losses_of(model_, samples, options_.document_mask);
    if (!counts) return;
    const float* loss = losses.const_data_ptr<float>();
    const auto* target = batch.targets.const_data_ptr<std::int64_t>();
    for (std::size_t row = 0; row < samples.samples.size(); ++row) {
      auto bucket = result_.by_position.begin();
      for (std::int64_t t = 0; t < samples.length; ++t, ++loss, ++target) {
        if (t == bucket->end) ++bucket;
        if (*target == kIgnoredTarget) continue;
        bucket->nats += *loss;
        ++bucket->tokens;
        result_.text_bytes += text_bytes_[static_cast<std::size_t>(*target)];
      }
    }
  }

  /// Adds what the other ranks have counted.
  void sum_over(Communicator& ranks) {
    std::vector<double> sums = {static_cast<double>(result_.text_bytes)};
    for (const auto& bucket : result_.by_position)
      sums.insert(sums.end(), {bucket.nats, static_cast<double>(bucket.tokens)});
    const auto total = torch::tensor(sums, torch::kFloat64).to(device_);
    ranks.all_reduce(total, "the validation loss").wait();
    const auto on_host = total.to(torch::kCPU);
    const double* value = on_host.const_data_ptr<double>();
    result_.text_bytes = static_cast<std::int64_t>(*value++);
    for (auto& bucket : result_.by_position) {
      bucket.nats = *value++;
      bucket.tokens = static_cast<std::int64_t>(*value++);
    }
  }

  Perplexity result() const {
    Perplexity result = result_;
    for (const auto& bucket : result.by_position) {
      result.nats += bucket.nats;
      result.tokens += bucket.tokens;
    }
    std::erase_if(result.by_position,
                  [](const PositionBucket& bucket) { return bucket.tokens == 0; });
    return result;
  }

 private:
  ZebraModel& model_;
  const EvaluationOptions& options_;
  torch::Device device_;
  Perplexity result_;
  std::vector<std::int64_t> text_bytes_;
};

}  // namespace

double Perplexity::perplexity() const { return std::exp(loss()); }

double Perplexity::bits_per_byte() const {
  return nats / std::numbers::ln2 / static_cast<double>(text_bytes);
}

Perplexity evaluate_perplexity(ZebraModel& model, const Tokenizer& tokenizer,
                               const TokenDatasets& datasets, const EvaluationOptions& options) {
  const torch::NoGradGuard no_grad;
  const auto samples = cut_into_samples(datasets, options.length, options.max_tokens);
  std::int64_t total = 0, done = 0;
  for (const auto& of_dataset : samples) total += of_dataset.tokens(options.length);

  const auto batches = batches_of(samples, options.length);
  Evaluation evaluation(model, tokenizer, options);
  const auto report = [&] {
    if (options.progress) options.progress(done, total);
  };
  report();
  const auto rank = static_cast<std::size_t>(options.ranks ? options.ranks->rank() : 0);
  const auto ranks = static_cast<std::size_t>(options.ranks ? options.ranks->size() : 1);
  // Every rank makes as many passes as the others: with split weights they need one another.
  for (std::size_t first = 0; first < batches.size(); first += ranks) {
    const bool counts = first + rank < batches.size();
    evaluation.add(batches[counts ? first + rank : first], counts);
    for (std::size_t i = first; i < std::min(first + ranks, batches.size()); ++i)
      done += static_cast<std::int64_t>(batches[i].samples.size()) * batches[i].length;
    report();
  }
  if (options.ranks) evaluation.sum_over(*options.ranks);
  auto result = evaluation.result();
  if (result.tokens == 0) {
    throw InputError("the evaluation data holds no target that counts for windows of " +
                     std::to_string(options.length) +
                     " tokens; use more data, a shorter length or a larger max_tokens");
  }
  return result;
}

nlohmann::ordered_json by_position_json(const Perplexity& perplexity) {
  auto rows = nlohmann::ordered_json::array();
  for (const auto& bucket : perplexity.by_position) {
    auto& row = rows.emplace_back();
    row["begin"] = bucket.begin;
    row["end"] = bucket.end;
    row["loss"] = bucket.loss();
  }
  return rows;
}

std::string perplexity_text(const std::vector<Perplexity>& results) {
  char line[160];
  std::string text = "length      loss  perplexity  bits per byte      tokens\n";
  for (const auto& result : results) {
    std::snprintf(line, sizeof line, "%6lld  %8.4f  %10.3f  %13.4f  %10s\n",
                  static_cast<long long>(result.length), result.loss(), result.perplexity(),
                  result.bits_per_byte(), with_commas(result.tokens).c_str());
    text += line;
  }
  const auto& longest = results.back();
  text += "\nposition at length " + std::to_string(longest.length) + "      loss\n";
  for (const auto& bucket : longest.by_position) {
    char range[64];
    std::snprintf(range, sizeof range, "[%lld, %lld)", static_cast<long long>(bucket.begin),
                  static_cast<long long>(bucket.end));
    std::snprintf(line, sizeof line, "%-24s  %8.4f\n", range, bucket.loss());
    text += line;
  }
  return text;
}

nlohmann::ordered_json perplexity_json(const std::vector<Perplexity>& results) {
  const auto& longest = results.back();
  nlohmann::ordered_json json;
  json["loss"] = longest.loss();
  json["perplexity"] = longest.perplexity();
  json["bits_per_byte"] = longest.bits_per_byte();
  json["tokens"] = longest.tokens;
  auto& by_length = json["by_length"] = nlohmann::ordered_json::array();
  for (const auto& result : results) {
    auto& row = by_length.emplace_back();
    row["length"] = result.length;
    row["loss"] = result.loss();
  }
  json["by_position"] = by_position_json(longest);
  return json;
}

}  // namespace zebra
