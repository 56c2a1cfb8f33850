#include "eval/perplexity.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/error.h"
#include "base/text.h"

namespace zebra {

namespace {

// The losses of this rank's tokens; the batch is whole, with the targets of these alone.
BatchLosses shared_losses_of(ZebraModel& model, const SampleBatch& samples, bool document_mask) {
  const auto share = model->context_share();
  auto batch = make_batch(samples.samples, samples.length, document_mask, /*pinned=*/false);
  const auto padding = model->shareable_length(samples.length) - samples.length;
  const auto part_of = [&](const torch::Tensor& x, std::int64_t fill) {
    return share.part_of(torch::constant_pad_nd(x, {0, padding}, fill));
  };
  Batch own;
  own.tokens = part_of(batch.tokens, 0);
  own.targets = part_of(batch.targets, kIgnoredTarget);
  if (batch.documents.is_packed())
    own.documents.first_token = part_of(batch.documents.first_token, samples.length);
  own = own.to(model->embedding_weight.device());
  const auto losses = model->token_losses(own.tokens, own.targets, own.documents).to(torch::kCPU);

  const auto places = part_of(torch::arange(samples.length).unsqueeze(0), samples.length)
                          .clamp_max(samples.length)  // padding, all in one place
                          .squeeze(0);
  const auto whole = [&](const torch::Tensor& x, const torch::Scalar& fill) {
    auto of_all = torch::full({x.size(0), samples.length + 1}, fill, x.options());
    return of_all.index_copy_(1, places, x.to(torch::kCPU))
        .narrow(1, 0, samples.length)
        .contiguous();
  };
  batch.targets = whole(own.targets.to(torch::kCPU), kIgnoredTarget);
  return {std::move(batch), whole(losses, 0.0)};
}

}  // namespace

BatchLosses losses_of(ZebraModel& model, const SampleBatch& samples, bool document_mask) {
  if (!model->context_share().is_whole()) return shared_losses_of(model, samples, document_mask);
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

/// That of the place; there is one.
PositionBucket& bucket_of(std::vector<PositionBucket>& buckets, std::int64_t place) {
  return buckets[static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(place)))];
}

struct DatasetBatch {
  std::size_t dataset;  // in cut_into_samples
  SampleBatch samples;
};

// All samples, those of a dataset's end last.
std::vector<DatasetBatch> batches_of(const std::vector<DatasetSamples>& datasets,
                                     std::int64_t length) {
  std::vector<DatasetBatch> batches;
  for (std::size_t i = 0; i < datasets.size(); ++i) {
    for (const auto& batch : batches_of(std::span(datasets[i].whole), length))
      batches.push_back({i, batch});
    if (const auto& partial = datasets[i].partial)
      batches.push_back({i, {{&partial->first, 1}, partial->second}});
  }
  return batches;
}

// Sums over the counted targets of one dataset.
struct DatasetSums {
  double text_bytes = 0.0;
  std::vector<PositionBucket> by_position, by_visible;

  double nats() const { return sum(&PositionBucket::nats); }
  double targets() const { return sum(&PositionBucket::targets); }

 private:
  double sum(double PositionBucket::*member) const {
    double total = 0.0;
    for (const auto& bucket : by_position) total += bucket.*member;
    return total;
  }
};

class PerplexityEvaluation {
 public:
  PerplexityEvaluation(ZebraModel& model, const Tokenizer& tokenizer,
                       const std::vector<DatasetSamples>& datasets,
                       const EvaluationOptions& options)
      : model_(model),
        datasets_(datasets),
        options_(options),
        sums_(datasets.size(), {0.0, empty_buckets(options.length), empty_buckets(options.length)}),
        bos_(tokenizer.bos()) {
    for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
      text_bytes_.push_back(static_cast<double>(tokenizer.text_bytes(id)));
      text_bytes_at_start_.push_back(static_cast<double>(tokenizer.text_bytes_at_start(id)));
    }
  }

  /// `counts` is false for a pass that only keeps step with other ranks.
  void add(const DatasetBatch& of, bool counts) {
    const auto& samples = of.samples;
    const auto [batch, losses] = losses_of(model_, samples, options_.document_mask);
    if (!counts) return;
    auto& sums = sums_[of.dataset];
    const float* loss = losses.const_data_ptr<float>();
    const auto* token = batch.tokens.const_data_ptr<std::int64_t>();
    const auto* target = batch.targets.const_data_ptr<std::int64_t>();
    const auto* first_token = batch.documents.is_packed()
                                  ? batch.documents.first_token.const_data_ptr<std::int64_t>()
                                  : nullptr;
    for (std::size_t row = 0; row < samples.samples.size(); ++row) {
      for (std::int64_t t = 0; t < samples.length; ++t, ++loss, ++token, ++target) {
        const auto first = first_token != nullptr ? *first_token++ : 0;
        if (*target == kIgnoredTarget) continue;
        for (auto* bucket :
             {&bucket_of(sums.by_position, t), &bucket_of(sums.by_visible, t - first)}) {
          bucket->nats += *loss;
          bucket->targets += 1.0;
        }
        const auto& text_bytes = *token == bos_ ? text_bytes_at_start_ : text_bytes_;
        sums.text_bytes += text_bytes[static_cast<std::size_t>(*target)];
      }
    }
  }

  /// Adds what the other ranks have counted.
  void sum_over(Communicator& ranks) {
    std::vector<double> values;
    for (auto& sums : sums_) {
      values.push_back(sums.text_bytes);
      for (const auto* buckets : {&sums.by_position, &sums.by_visible})
        for (const auto& bucket : *buckets)
          values.insert(values.end(), {bucket.nats, bucket.targets});
    }
    const auto total = torch::tensor(values, torch::kFloat64).to(model_->embedding_weight.device());
    ranks.all_reduce(total, "the validation loss").wait();
    const auto on_host = total.to(torch::kCPU);
    const double* value = on_host.const_data_ptr<double>();
    for (auto& sums : sums_) {
      sums.text_bytes = *value++;
      for (auto* buckets : {&sums.by_position, &sums.by_visible}) {
        for (auto& bucket : *buckets) {
          bucket.nats = *value++;
          bucket.targets = *value++;
        }
      }
    }
  }

  Perplexity result() const {
    check_targets();
    Perplexity result;
    result.length = options_.length;
    result.by_position = result.by_visible = empty_buckets(options_.length);
    const auto weights = target_weights();
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      const auto& sums = sums_[i];
      const auto targets = static_cast<std::int64_t>(sums.targets());
      result.tokens += targets;
      result.by_dataset.push_back({datasets_[i].name, sums.nats() / sums.targets(), targets});
      result.text_bytes += weights[i] * sums.text_bytes;
      add_weighted(sums.by_position, weights[i], result.by_position);
      add_weighted(sums.by_visible, weights[i], result.by_visible);
    }
    for (const auto& bucket : result.by_position) {
      result.nats += bucket.nats;
      result.targets += bucket.targets;
    }
    for (auto* buckets : {&result.by_position, &result.by_visible})
      std::erase_if(*buckets, [](const PositionBucket& bucket) { return bucket.targets == 0.0; });
    return result;
  }

 private:
  static void add_weighted(const std::vector<PositionBucket>& buckets, double weight,
                           std::vector<PositionBucket>& sums) {
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      sums[b].nats += weight * buckets[b].nats;
      sums[b].targets += weight * buckets[b].targets;
    }
  }

  void check_targets() const {
    Problems problems;
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      if (sums_[i].targets() > 0.0) continue;
      problems.add(datasets_[i].dataset->path().string() +
                   ": what is evaluated of it holds no target that counts for windows of " +
                   std::to_string(options_.length) +
                   " tokens; use more data, a shorter length or a larger max_tokens");
    }
    problems.throw_if_any();
  }

  // What a target of each dataset weighs in the summary; 1 at most.
  std::vector<double> target_weights() const {
    std::vector<double> weights;
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      const auto& of = datasets_[i];
      weights.push_back(options_.weights.empty()
                            ? static_cast<double>(of.dataset->tokens() - 1) /
                                  static_cast<double>(of.tokens(options_.length))
                            : options_.weights[of.index] / sums_[i].targets());
    }
    const double largest = std::ranges::max(weights);
    for (auto& weight : weights) weight /= largest;
    return weights;
  }

  ZebraModel& model_;
  const std::vector<DatasetSamples>& datasets_;
  const EvaluationOptions& options_;
  std::vector<DatasetSums> sums_;
  std::vector<double> text_bytes_, text_bytes_at_start_;
  std::int64_t bos_;
};

}  // namespace

double Perplexity::perplexity() const { return std::exp(loss()); }

double Perplexity::bits_per_byte() const { return nats / std::numbers::ln2 / text_bytes; }

Perplexity evaluate_perplexity(ZebraModel& model, const Tokenizer& tokenizer,
                               const TokenDatasets& datasets, const EvaluationOptions& options) {
  const torch::NoGradGuard no_grad;
  const auto samples = cut_into_samples(datasets, options.length, options.max_tokens);
  std::int64_t total = 0, done = 0;
  for (const auto& of_dataset : samples) total += of_dataset.tokens(options.length);

  const auto batches = batches_of(samples, options.length);
  PerplexityEvaluation evaluation(model, tokenizer, samples, options);
  const auto report = [&] {
    if (options.progress) options.progress(done, total);
  };
  report();
  // Ranks that share each sample make the same passes.
  const int sharing = model->context_share().ranks;
  const auto rank = static_cast<std::size_t>(options.ranks ? options.ranks->rank() / sharing : 0);
  const auto ranks = static_cast<std::size_t>(options.ranks ? options.ranks->size() / sharing : 1);
  // Every rank makes as many passes as the others: with split weights they need one another.
  for (std::size_t first = 0; first < batches.size(); first += ranks) {
    const bool counts = first + rank < batches.size();
    evaluation.add(batches[counts ? first + rank : first], counts);
    for (std::size_t i = first; i < std::min(first + ranks, batches.size()); ++i)
      done +=
          static_cast<std::int64_t>(batches[i].samples.samples.size()) * batches[i].samples.length;
    report();
  }
  if (options.ranks) evaluation.sum_over(*options.ranks);
  return evaluation.result();
}

void require_finite(const std::vector<Perplexity>& results) {
  const auto require = [&](const std::string& figure, const std::string& fault,
                           const std::function<bool(const Perplexity&)>& is_sound) {
    std::vector<std::int64_t> lengths;
    for (const auto& result : results)
      if (!is_sound(result)) lengths.push_back(result.length);
    if (!lengths.empty())
      throw RunError(figure + " at length " + join_numbers(lengths, ", ") + fault);
  };
  require("the loss", kNotFinite,
          [](const Perplexity& result) { return std::isfinite(result.loss()); });
  require("the perplexity",
          " is beyond all numbers, though the loss, of which it is the exponential, is not: the "
          "model is broken, or of another tokenizer than the data",
          [](const Perplexity& result) { return std::isfinite(result.perplexity()); });
  require(
      "bits per byte",
      " are not a number: the tokens predicted stand for no byte of text; evaluate on text (the "
      "loss and the perplexity are sound)",
      [](const Perplexity& result) { return std::isfinite(result.bits_per_byte()); });
}

namespace {

nlohmann::ordered_json buckets_json(const std::vector<PositionBucket>& buckets) {
  auto rows = nlohmann::ordered_json::array();
  for (const auto& bucket : buckets) {
    auto& row = rows.emplace_back();
    row["begin"] = bucket.begin;
    row["end"] = bucket.end;
    row["loss"] = bucket.loss();
  }
  return rows;
}

std::string range_of(const PositionBucket& bucket) {
  return "[" + std::to_string(bucket.begin) + ", " + std::to_string(bucket.end) + ")";
}

// Both kinds of places have the same ranges; one of them may hold no target.
std::string places_table(const Perplexity& perplexity) {
  std::vector<std::vector<std::string>> rows = {
      {"place at length " + std::to_string(perplexity.length), "position", "visible"}};
  for (const auto& range : empty_buckets(perplexity.length)) {
    const auto loss_in = [&](const std::vector<PositionBucket>& buckets) {
      const auto found = std::ranges::find(buckets, range.begin, &PositionBucket::begin);
      return found == buckets.end() ? "-" : fixed(found->loss(), 4);
    };
    rows.push_back(
        {range_of(range), loss_in(perplexity.by_position), loss_in(perplexity.by_visible)});
  }
  return text_table(rows, "lr");
}

}  // namespace

nlohmann::ordered_json by_position_json(const Perplexity& perplexity) {
  return buckets_json(perplexity.by_position);
}

nlohmann::ordered_json by_visible_json(const Perplexity& perplexity) {
  return buckets_json(perplexity.by_visible);
}

nlohmann::ordered_json by_dataset_json(const Perplexity& perplexity) {
  auto rows = nlohmann::ordered_json::array();
  for (const auto& dataset : perplexity.by_dataset) {
    auto& row = rows.emplace_back();
    row["name"] = dataset.name;
    row["loss"] = dataset.loss;
    row["tokens"] = dataset.tokens;
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
  if (longest.by_dataset.size() > 1) {
    std::vector<std::vector<std::string>> rows = {
        {"dataset at length " + std::to_string(longest.length), "loss", "tokens"}};
    for (const auto& dataset : longest.by_dataset)
      rows.push_back({dataset.name, fixed(dataset.loss, 4), with_commas(dataset.tokens)});
    text += "\n" + text_table(rows, "lr");
  }
  return text + "\n" + places_table(longest);
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
  json["by_visible"] = by_visible_json(longest);
  if (longest.by_dataset.size() > 1) json["by_dataset"] = by_dataset_json(longest);
  return json;
}

}  // namespace zebra
