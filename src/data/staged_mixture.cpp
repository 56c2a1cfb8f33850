#include "data/staged_mixture.h"

#include <cstddef>
#include <utility>

namespace zebra {
namespace {

std::vector<MixtureSource> sources_of(const std::vector<std::int64_t>& samples,
                                      const std::vector<double>& weights) {
  std::vector<MixtureSource> sources;
  for (std::size_t s = 0; s < samples.size(); ++s) sources.push_back({samples[s], weights[s]});
  return sources;
}

}  // namespace

StagedMixture::StagedMixture(std::uint64_t seed, const std::vector<std::int64_t>& samples,
                             const std::vector<MixtureStage>& stages) {
  std::uint64_t begin = 0;
  MixtureSpan span;
  for (const auto& stage : stages) {
    span.samples = stage.samples;
    parts_.push_back({begin, MixtureOrder(seed, sources_of(samples, stage.weights), span)});
    if (!stage.samples) break;
    span = parts_.back().order.span_behind();
    begin += *stage.samples;
  }
}

SampleLocation StagedMixture::at(std::uint64_t global_index) {
  auto part = parts_.rbegin();
  while (part->begin > global_index) ++part;
  return part->order.at(global_index - part->begin);
}

}  // namespace zebra
