#include "data/dataset_view.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "base/text.h"
#include "data/tokenizer_model.h"

namespace zebra {
namespace {

/// The document that holds the token at that position.
std::int64_t document_at(const TokenDataset& dataset, std::int64_t position) {
  const auto offsets = dataset.document_offsets();
  const auto behind = std::ranges::upper_bound(offsets, static_cast<std::uint64_t>(position));
  return behind - offsets.begin() - 1;
}

DatasetView view_range(const TokenDataset& dataset, std::int64_t begin, std::int64_t end,
                       bool document_mask) {
  const auto size = static_cast<std::size_t>(end - begin);
  std::vector<std::int32_t> ids(size);
  std::vector<std::uint8_t> counts(size);
  dataset.copy_tokens(begin, ids);
  dataset.copy_loss_mask(begin, counts);
  DatasetView view{begin, end, {}};
  const auto offsets = dataset.document_offsets();
  std::int64_t document = document_at(dataset, begin);
  for (std::size_t i = 0; i < size; ++i) {
    const auto position = begin + static_cast<std::int64_t>(i);
    if (offsets[static_cast<std::size_t>(document) + 1] == static_cast<std::uint64_t>(position))
      ++document;
    const bool begins =
        offsets[static_cast<std::size_t>(document)] == static_cast<std::uint64_t>(position);
    const bool is_target = counts[i] != 0 && i > 0 && !(begins && document_mask);
    if (view.runs.empty() || begins || view.runs.back().counts != is_target)
      view.runs.push_back({document, position, begins, is_target, {}});
    view.runs.back().ids.push_back(ids[i]);
  }
  return view;
}

/// The value that so large a share of the others does not exceed. Orders the values around it.
std::int64_t quantile_of(std::vector<std::int64_t>& values, double share) {
  const auto last = static_cast<double>(values.size() - 1);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(share * last);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

/// Of other tokens nothing.
std::string name_of_control(const Tokenizer& tokenizer, std::int32_t id) {
  if (id == tokenizer.bos()) return "<BOS>";
  if (id == tokenizer.eos()) return "<EOS>";
  const auto& named = tokenizer.named_tokens();
  const auto token = std::ranges::find(named, id, &NamedToken::id);
  return token != named.end() && token->is_control ? token->name : "";
}

[[noreturn]] void refuse_number(const TokenDataset& dataset, const std::string& what,
                                std::int64_t number, std::int64_t count) {
  throw InputError(dataset.path().string() + ": has no " + what + " " + with_commas(number) +
                   "; they are numbered from 0 to " + with_commas(count - 1));
}

}  // namespace

std::int64_t DatasetView::targets() const {
  std::int64_t count = 0;
  for (const auto& run : runs) count += run.counts ? std::ssize(run.ids) : 0;
  return count;
}

DatasetView view_document(const TokenDataset& dataset, std::int64_t number,
                          std::int64_t most_tokens) {
  if (number < 0 || number >= dataset.documents())
    refuse_number(dataset, "document", number, dataset.documents());
  const auto offsets = dataset.document_offsets();
  const auto begin = static_cast<std::int64_t>(offsets[static_cast<std::size_t>(number)]);
  auto end = static_cast<std::int64_t>(offsets[static_cast<std::size_t>(number) + 1]);
  if (most_tokens > 0) end = std::min(end, begin + most_tokens);
  return view_range(dataset, begin, end, /*document_mask=*/true);
}

DatasetView view_sample(const TokenDataset& dataset, std::int64_t number, std::int64_t length,
                        bool document_mask) {
  const std::int64_t samples = (dataset.tokens() - 1) / length;
  if (samples < 1) {
    throw InputError(dataset.path().string() + ": holds " + with_commas(dataset.tokens()) +
                     " tokens, fewer than one sample of " + with_commas(length + 1) +
                     "; set a smaller data.sequence_length");
  }
  if (number < 0 || number >= samples) refuse_number(dataset, "sample", number, samples);
  return view_range(dataset, number * length, (number + 1) * length + 1, document_mask);
}

DatasetView view_planned_sample(const TokenDataset& dataset, const SamplePlan& plan,
                                std::int64_t number) {
  if (number < 0 || number >= plan.samples())
    refuse_number(dataset, "sample", number, plan.samples());
  const auto parts = plan.parts(number);
  DatasetView view{parts.front().begin, parts.back().begin + parts.back().inputs + 1, {}};
  for (const auto& [begin, inputs] : parts) {
    auto part = view_range(dataset, begin, begin + inputs + 1, /*document_mask=*/true);
    std::ranges::move(part.runs, std::back_inserter(view.runs));
  }
  return view;
}

std::string text_of_ids(const Tokenizer& tokenizer, std::int32_t before,
                        std::span<const std::int32_t> ids) {
  std::string text;
  std::vector<std::int32_t> context;
  if (before >= 0) context.push_back(before);
  const auto flush = [&](std::span<const std::int32_t> part) {
    if (part.empty()) return;
    // Some tokenizers take the first space away, which only the start of a text has too many.
    const std::string prefix = tokenizer.decode(context);
    context.insert(context.end(), part.begin(), part.end());
    const std::string whole = tokenizer.decode(context);
    text += whole.starts_with(prefix) ? whole.substr(prefix.size()) : tokenizer.decode(part);
  };
  std::size_t begin = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string name = name_of_control(tokenizer, ids[i]);
    if (name.empty()) continue;
    flush(ids.subspan(begin, i - begin));
    text += name;
    context = {ids[i]};
    begin = i + 1;
  }
  flush(ids.subspan(begin));
  return text;
}

DatasetStatistics statistics_of(const TokenDataset& dataset) {
  const auto offsets = dataset.document_offsets();
  std::vector<std::int64_t> lengths;
  lengths.reserve(offsets.size() - 1);
  for (std::size_t i = 1; i < offsets.size(); ++i)
    lengths.push_back(static_cast<std::int64_t>(offsets[i] - offsets[i - 1]));
  DatasetStatistics result;
  result.mean = static_cast<double>(dataset.tokens()) / static_cast<double>(lengths.size());
  result.tenth_percentile = quantile_of(lengths, 0.1);
  result.median = quantile_of(lengths, 0.5);
  result.ninetieth_percentile = quantile_of(lengths, 0.9);
  const auto [shortest, longest] = std::ranges::minmax_element(lengths);
  result.shortest = *shortest;
  result.longest = *longest;
  result.targets = dataset.tokens();
  if (!dataset.description().loss_mask_file) return result;
  result.targets = 0;
  constexpr std::int64_t kBlock = std::int64_t{1} << 20;
  std::vector<std::uint8_t> counts;
  for (std::int64_t at = 0; at < dataset.tokens(); at += kBlock) {
    counts.resize(static_cast<std::size_t>(std::min(kBlock, dataset.tokens() - at)));
    dataset.copy_loss_mask(at, counts);
    result.targets += std::ssize(counts) - std::ranges::count(counts, std::uint8_t{0});
  }
  return result;
}

}  // namespace zebra
