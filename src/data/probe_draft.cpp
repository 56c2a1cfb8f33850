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

std::vector<std::int32_t> RandomChoices::independent(std::span<const std::int32_t> candidates,
                                                     std::int64_t count) {
  std::vector<std::int32_t> chosen(static_cast<std::size_t>(count));
  for (auto& token : chosen) token = one_of(candidates);
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
  return spec_.bands.distances(band, possible_distances(spec_.task, spec_.length));
}

DistanceBand ProbeDraft::draw_band() {
  std::vector<DistanceBand> candidates;
  std::ranges::copy_if(kAllDistanceBands, std::back_inserter(candidates),
                       [this](DistanceBand band) { return !distances(band).empty(); });
  return choices_.one_of<DistanceBand>(candidates);
}

std::int64_t ProbeDraft::draw_distance(DistanceBand band) {
  const auto range = distances(band);
  return choices_.between(range.first, range.last);
}

void ProbeDraft::put(std::int64_t begin, std::span<const std::int32_t> tokens) {
  std::ranges::copy(tokens, sequence_.tokens.begin() + begin);
  mark_taken(begin, tokens.size());
}

void ProbeDraft::mark_taken(std::int64_t begin, std::size_t count) {
  std::fill_n(is_free_.begin() + begin, count, false);
}

std::int64_t ProbeDraft::take_place(std::int64_t count, std::int64_t end) {
  std::vector<std::int64_t> places;
  std::int64_t free_run = 0;
  for (std::int64_t position = 0; position < end; ++position) {
    free_run = is_free(position) ? free_run + 1 : 0;
    if (free_run >= count) places.push_back(position + 1 - count);
  }
  const auto place = choices_.one_of<std::int64_t>(places);
  mark_taken(place, static_cast<std::size_t>(count));
  return place;
}

void ProbeDraft::expect_answers(std::int64_t begin, std::int64_t count, std::int64_t distance) {
  for (std::int64_t i = 0; i < count; ++i) sequence_.answers.push_back({begin + i, distance});
}

ProbeSequence ProbeDraft::finish(std::span<const std::int32_t> text) && {
  std::size_t next = 0;
  for (std::int64_t position = 0; position < spec_.length; ++position) {
    if (!is_free(position)) continue;
    auto& token = sequence_.tokens[static_cast<std::size_t>(position)];
    const bool has_text = !text.empty() && vocabulary_.may_fill(text[next]);
    token = has_text ? text[next] : choices_.one_of(vocabulary_.fillers());
    if (!text.empty()) next = (next + 1) % text.size();
  }
  std::ranges::sort(sequence_.answers, {}, &ProbeAnswer::position);
  return std::move(sequence_);
}

}  // namespace zebra
