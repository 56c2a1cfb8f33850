#include "data/probe_draft.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace zebra {

std::int64_t RandomChoices::between(std::int64_t first, std::int64_t last) {
  // Of 64 random bits the remainder favours no value by more than count / 2^64.
  const auto count = static_cast<std::uint64_t>(last - first + 1);
  return first + static_cast<std::int64_t>(stream_.bits(next_++) % count);
}

std::vector<std::int32_t> RandomChoices::distinct(std::span<const std::int32_t> candidates,
                                                  std::int64_t count) {
  std::vector<std::int32_t> chosen(candidates.begin(), candidates.end());
  for (std::int64_t i = 0; i < count; ++i) {
    std::swap(chosen[static_cast<std::size_t>(i)],
              chosen[static_cast<std::size_t>(between(i, std::ssize(chosen) - 1))]);
  }
  chosen.resize(static_cast<std::size_t>(count));
  return chosen;
}

std::vector<std::int64_t> RandomChoices::spread(std::int64_t begin, std::int64_t end,
                                                std::int64_t count, std::int64_t size) {
  // A way is a choice of `count` out of the slots that are left when each run is drawn together
  // into one (sampling without replacement by Floyd's method).
  const auto slots = end - begin - count * (size - 1);
  std::vector<std::int64_t> chosen;
  for (auto last = slots - count; last < slots; ++last) {
    const auto drawn = between(0, last);
    const bool is_taken = std::ranges::find(chosen, drawn) != chosen.end();
    chosen.push_back(is_taken ? last : drawn);
  }
  std::ranges::sort(chosen);
  for (std::int64_t i = 0; i < count; ++i) {
    chosen[static_cast<std::size_t>(i)] += begin + i * (size - 1);
  }
  return chosen;
}

ProbeDraft::ProbeDraft(const ProbeSpec& spec, const ProbeVocabulary& vocabulary,
                       RandomStream stream)
    : spec_(spec),
      vocabulary_(vocabulary),
      choices_(stream),
      is_free_(static_cast<std::size_t>(spec.length), true) {
  sequence_.tokens.resize(is_free_.size());
  put(0, std::array{vocabulary.bos()});
  put(spec_.length - 1, std::array{vocabulary.eos()});
}

DistanceRange ProbeDraft::distances(DistanceBand band) const {
  return spec_.bands.distances(band, possible_distances(spec_));
}

DistanceBand ProbeDraft::draw_band() {
  std::vector<DistanceBand> candidates;
  std::ranges::copy_if(kAllDistanceBands, std::back_inserter(candidates),
                       [this](DistanceBand band) { return !distances(band).empty(); });
  return choices_.one_of<DistanceBand>(candidates);
}

ProbeDraft::Placement ProbeDraft::draw_placement(DistanceBand band, std::int64_t most_others,
                                                 std::int64_t size) {
  const auto range = distances(band);
  const auto adjoining = possible_distances(spec_).first;
  const auto room = (range.last - adjoining) / size;
  const auto others = choices_.between(0, std::min(most_others, room));
  const auto first = std::max(range.first, adjoining + others * size);
  return {others, choices_.between(first, range.last)};
}

void ProbeDraft::put(std::int64_t begin, std::span<const std::int32_t> tokens) {
  std::ranges::copy(tokens, sequence_.tokens.begin() + begin);
  std::fill_n(is_free_.begin() + begin, tokens.size(), false);
}

std::optional<std::int64_t> ProbeDraft::find_place(std::int64_t begin, std::int64_t end,
                                                   std::int64_t size) {
  std::vector<std::int64_t> places;
  std::int64_t free_run = 0;
  for (auto position = begin; position < end; ++position) {
    free_run = is_free(position) ? free_run + 1 : 0;
    if (free_run >= size) places.push_back(position + 1 - size);
  }
  if (places.empty()) return std::nullopt;
  return choices_.one_of<std::int64_t>(places);
}

void ProbeDraft::fill(std::int64_t begin, std::int64_t end) {
  for (auto position = begin; position < end; ++position) {
    if (is_free(position)) put(position, std::array{choices_.one_of(vocabulary_.fillers())});
  }
}

void ProbeDraft::ask(std::int64_t begin, std::span<const std::int32_t> answers,
                     std::int64_t distance) {
  for (const auto answer : answers) {
    put(begin, std::array{vocabulary_.blank()});
    sequence_.answers.push_back({begin++, distance, answer});
  }
}

ProbeSequence ProbeDraft::finish() && {
  fill(1, spec_.length - 1);
  std::ranges::sort(sequence_.answers, {}, &ProbeAnswer::position);
  return std::move(sequence_);
}

}  // namespace zebra
