#include "data/mixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "base/error.h"

namespace zebra {
namespace {

constexpr std::uint64_t kBlockSamples = 1024;

std::uint64_t block_key(std::uint64_t seed, std::uint64_t block) {
  return RandomStream::named(seed, "block", block).bits(0);
}

std::uint64_t epoch_key(std::uint64_t seed, std::int64_t source, std::int64_t epoch) {
  return RandomStream::named(seed, "source", static_cast<std::uint64_t>(source))
      .bits(static_cast<std::uint64_t>(epoch));
}

}  // namespace

MixtureOrder::MixtureOrder(std::uint64_t seed, std::vector<MixtureSource> sources, MixtureSpan span)
    : seed_(seed),
      span_(std::move(span)),
      order_in_block_(samples_in_block(), block_key(seed, span_.blocks_before)) {
  span_.drawn_before.resize(sources.size());
  Problems problems;
  double total = 0.0;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const MixtureSource& source = sources[i];
    const std::string name = "data source number " + std::to_string(i + 1);
    if (!(source.weight >= 0.0) || !std::isfinite(source.weight)) {
      problems.add(name + " has the weight " + std::to_string(source.weight) +
                   ": give it 0 or a positive number");
    } else if (source.weight > 0.0 && source.samples < 1) {
      problems.add(name + " is shorter than one sequence: pack more text into it, lower " +
                   "data.sequence_length or remove it");
    } else if (source.weight > 0.0) {
      sources_.push_back({.index = static_cast<std::int64_t>(i),
                          .samples = source.samples,
                          .share = source.weight,
                          .before = span_.drawn_before[i]});
      total += source.weight;
    }
  }
  if (problems.empty() && sources_.empty()) {
    problems.add("no data source has a weight above 0: there is nothing to train on");
  }
  problems.throw_if_any();
  for (auto& source : sources_) source.share /= total;
  by_shortfall_.resize(sources_.size());
  std::iota(by_shortfall_.begin(), by_shortfall_.end(), std::size_t{0});
  apportion();
}

SampleLocation MixtureOrder::at(std::uint64_t index) {
  move_to(index / kBlockSamples);
  auto slot = static_cast<std::int64_t>(order_in_block_(index % kBlockSamples));
  auto source = sources_.cbegin();
  while (slot >= source->count) slot -= (source++)->count;
  const std::int64_t ordinal = source->before + source->given + slot;
  const std::int64_t epoch = ordinal / source->samples;
  const Permutation order_in_epoch(static_cast<std::uint64_t>(source->samples),
                                   epoch_key(seed_, source->index, epoch));
  const auto place = static_cast<std::uint64_t>(ordinal % source->samples);
  return {source->index, static_cast<std::int64_t>(order_in_epoch(place)), epoch};
}

MixtureSpan MixtureOrder::span_behind() {
  const std::uint64_t last_block = (span_.samples.value() - 1) / kBlockSamples;
  move_to(last_block);
  MixtureSpan behind{span_.blocks_before + last_block + 1, span_.drawn_before, std::nullopt};
  for (const auto& source : sources_)
    behind.drawn_before[static_cast<std::size_t>(source.index)] += source.given + source.count;
  return behind;
}

std::uint64_t MixtureOrder::samples_in_block() const {
  if (!span_.samples) return kBlockSamples;
  return std::min(kBlockSamples, *span_.samples - block_ * kBlockSamples);
}

void MixtureOrder::move_to(std::uint64_t block) {
  if (block == block_) return;
  if (block < block_) {
    block_ = 0;
    for (auto& source : sources_) source.given = 0;
    apportion();
  }
  while (block_ < block) {
    for (auto& source : sources_) source.given += source.count;
    ++block_;
    apportion();
  }
  order_in_block_ = Permutation(samples_in_block(), block_key(seed_, span_.blocks_before + block));
}

void MixtureOrder::apportion() {
  const std::uint64_t samples = samples_in_block();
  const auto end_of_block = static_cast<double>(block_ * kBlockSamples + samples);
  auto left = static_cast<std::int64_t>(samples);
  for (auto& source : sources_) {
    const double exact = end_of_block * source.share;
    const auto whole = static_cast<std::int64_t>(std::floor(exact));
    source.count = std::max<std::int64_t>(0, whole - source.given);
    source.shortfall = exact - static_cast<double>(source.given + source.count);
    left -= source.count;
  }
  if (left == 0) return;
  std::sort(by_shortfall_.begin(), by_shortfall_.end(), [this](std::size_t a, std::size_t b) {
    const double of_a = sources_[a].shortfall, of_b = sources_[b].shortfall;
    return of_a != of_b ? of_a > of_b : a < b;
  });
  for (std::size_t i = 0; left > 0; i = (i + 1) % by_shortfall_.size(), --left) {
    ++sources_[by_shortfall_[i]].count;
  }
  // A source that got a sample early still holds it while its exact share lags behind: then the
  // whole parts can add up to more than a block.
  for (std::size_t i = by_shortfall_.size(); left < 0;) {
    if (i == 0) i = by_shortfall_.size();
    ActiveSource& source = sources_[by_shortfall_[--i]];
    if (source.count == 0) continue;
    --source.count;
    ++left;
  }
}

std::vector<double> mixture_weights(const std::vector<std::int64_t>& tokens,
                                    const std::vector<std::optional<double>>& weights) {
  std::vector<double> result;
  for (const auto& weight : weights) {
    if (weight) result.push_back(*weight);
  }
  if (result.size() == weights.size() && !weights.empty()) return result;
  if (!result.empty()) {
    throw InputError(
        "some data sources have a weight and others have none: give a weight to each "
        "of them, or to none (then it is proportional to the tokens)");
  }
  for (const std::int64_t count : tokens) result.push_back(static_cast<double>(count));
  return result;
}

}  // namespace zebra
