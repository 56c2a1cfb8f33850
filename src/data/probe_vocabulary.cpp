#include "data/probe_vocabulary.h"

#include <string>

#include "base/random.h"
#include "base/text.h"

namespace zebra {
namespace {

constexpr std::int64_t kMarkers = 3;
constexpr std::int64_t kFewestFillers = 16;  // where their number is not given

/// The ids for which `is_wanted`, appended in the order of the permutation.
template <class Predicate>
void append_shuffled(std::int64_t vocab_size, std::vector<std::int32_t>& ids, Predicate is_wanted) {
  const auto size = static_cast<std::uint64_t>(vocab_size);
  const Permutation permutation(size, RandomStream::named(0, "probe vocabulary").bits(0));
  for (std::uint64_t i = 0; i < size; ++i) {
    const auto id = static_cast<std::int32_t>(permutation(i));
    if (is_wanted(id)) ids.push_back(id);
  }
}

std::int64_t fewest_fillers(const ProbeVocabularySizes& sizes) {
  return sizes.fillers > 0 ? sizes.fillers : kFewestFillers;
}

void check_tokens(const Tokenizer& tokenizer, const ProbeVocabularySizes& sizes,
                  std::int64_t ordinary, std::int64_t needed) {
  if (ordinary >= needed) return;
  throw InputError(tokenizer.path().string() + ": has " + with_commas(ordinary) +
                   " ordinary tokens, but recall probes with " + with_commas(sizes.keys) +
                   " keys, " + with_commas(sizes.values) + " values, " + std::to_string(kMarkers) +
                   " markers and at least " + with_commas(fewest_fillers(sizes)) +
                   " fillers take " + with_commas(needed) +
                   "; take fewer of them, or a tokenizer with a larger vocabulary");
}

}  // namespace

void check_probe_vocabulary_sizes(const ProbeVocabularySizes& sizes, Problems& problems) {
  constexpr std::int64_t kMost = 1'000'000;  // far above any vocabulary
  const auto check = [&](const char* what, std::int64_t size, std::int64_t fewest,
                         const std::string& give) {
    if (size >= fewest && size <= kMost) return;
    problems.add(std::string("the number of ") + what + " is " + std::to_string(size) + ": give " +
                 give + ", and at most " + with_commas(kMost));
  };
  const auto or_more = [](std::int64_t fewest) {
    return std::to_string(fewest) + " or more, such as 32";
  };
  check("keys", sizes.keys, kFewestProbeKeys, or_more(kFewestProbeKeys));
  check("values", sizes.values, kFewestProbeValues, or_more(kFewestProbeValues));
  check("fillers", sizes.fillers, 0, "0 for all tokens that are left, or 1 or more");
}

ProbeVocabulary::ProbeVocabulary(const Tokenizer& tokenizer, ProbeVocabularySizes sizes)
    : is_value_(static_cast<std::size_t>(tokenizer.vocab_size())),
      bos_(tokenizer.bos()),
      eos_(tokenizer.eos()) {
  Problems problems;
  check_probe_vocabulary_sizes(sizes, problems);
  problems.throw_if_any();
  tokenizer.require_text();  // else it does not know what its tokens stand for

  const auto needed = sizes.keys + sizes.values + kMarkers + fewest_fillers(sizes);
  const auto vocab_size = tokenizer.vocab_size();
  const auto bytes_of = [&tokenizer](std::int32_t id) { return tokenizer.text_bytes(id); };
  std::vector<std::int32_t> ids;
  append_shuffled(vocab_size, ids, [&](std::int32_t id) { return bytes_of(id) > 1; });
  if (std::ssize(ids) < needed) {
    append_shuffled(vocab_size, ids, [&](std::int32_t id) { return bytes_of(id) == 1; });
  }
  check_tokens(tokenizer, sizes, std::ssize(ids), needed);

  auto next = ids.begin();
  const auto take = [&next](std::int64_t count) {
    const auto begin = next;
    next += count;
    return std::vector<std::int32_t>(begin, next);
  };
  keys_ = take(sizes.keys);
  values_ = take(sizes.values);
  markers_ = take(kMarkers);
  fillers_ = take(sizes.fillers > 0 ? sizes.fillers : ids.end() - next);
  for (const auto id : values_) is_value_[static_cast<std::size_t>(id)] = true;
}

}  // namespace zebra
