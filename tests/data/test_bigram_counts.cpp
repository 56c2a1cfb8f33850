#include "data/bigram_counts.h"

#include <map>
#include <random>

#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

using Documents = std::vector<std::vector<std::int32_t>>;
using PairCounts = std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t>;

constexpr std::int64_t kWideVocabSize = 70000;

std::unique_ptr<TokenDataset> make_dataset(const std::filesystem::path& path,
                                           const Documents& documents) {
  TokenDatasetWriter writer({path, "hash", kWideVocabSize});
  for (const auto& document : documents) {
    writer.begin_document();
    writer.append(document, true);
  }
  writer.finish();
  writer.publish();
  return std::make_unique<TokenDataset>(path, "hash", kWideVocabSize);
}

/// Documents of 1 to 400 tokens; ids reach to the end of the vocabulary, small ones occur more.
Documents random_documents(unsigned seed, int count) {
  std::mt19937 random(seed);
  Documents documents(static_cast<std::size_t>(count));
  for (auto& document : documents) {
    document.resize(1 + random() % 400);
    for (auto& token : document) {
      const unsigned limit = random() % 2 == 0 ? 30U : static_cast<unsigned>(kWideVocabSize);
      token = static_cast<std::int32_t>(random() % limit);
    }
  }
  return documents;
}

PairCounts pairs_of(const Documents& documents) {
  PairCounts pairs;
  for (const auto& document : documents) {
    for (std::size_t i = 1; i < document.size(); ++i) ++pairs[{document[i - 1], document[i]}];
  }
  return pairs;
}

}  // namespace

TEST_CASE("Pairs are counted inside documents, by hand", "[data][bigrams]") {
  const TempFolder folder;
  std::vector<std::unique_ptr<TokenDataset>> datasets;
  datasets.push_back(make_dataset(folder / "a", {{1, 2, 1, 2, 2}, {7}, {2, 3, 69999}}));
  datasets.push_back(make_dataset(folder / "b", {{2, 1, 2}, {5, 5, 5}}));
  const BigramCounts counts(datasets);
  CHECK(counts.pairs() == 10);
  CHECK(counts.count(1, 2) == 3);
  CHECK(counts.count(2, 1) == 2);
  CHECK(counts.count(2, 2) == 1);  // not across the end of the first document
  CHECK(counts.count(5, 5) == 2);
  CHECK(counts.count(3, 69999) == 1);
  CHECK(counts.count(2, 7) == 0);
  CHECK(counts.count(7, 2) == 0);
  CHECK(counts.count(69999, 2) == 0);  // nor from one dataset to the next
  CHECK(counts.count(0, 0) == 0);
  CHECK(counts.rate(1, 2) == 0.3);
  CHECK(counts.rate(7, 2) == 0.0);
}

TEST_CASE("Many pairs are counted exactly, over blocks of tokens and in several datasets",
          "[data][bigrams]") {
  const TempFolder folder;
  auto documents = random_documents(1, 900);
  std::vector<std::unique_ptr<TokenDataset>> datasets;
  datasets.push_back(make_dataset(folder / "a", documents));
  const auto more = random_documents(2, 11);
  datasets.push_back(make_dataset(folder / "b", more));
  documents.insert(documents.end(), more.begin(), more.end());
  // More tokens than are copied at a time, in one document, so that no block border is lucky.
  std::mt19937 random(3);
  Documents longest(1, std::vector<std::int32_t>(150001));
  for (auto& token : longest[0]) token = static_cast<std::int32_t>(random() % 300);
  datasets.push_back(make_dataset(folder / "c", longest));
  documents.push_back(longest[0]);

  const auto expected = pairs_of(documents);
  const BigramCounts counts(datasets);
  std::int64_t pairs = 0;
  for (const auto& [pair, count] : expected) {
    pairs += count;
    REQUIRE(counts.count(pair.first, pair.second) == count);
    REQUIRE(counts.count(pair.first, pair.second + 1) ==
            (expected.contains({pair.first, pair.second + 1})
                 ? expected.at({pair.first, pair.second + 1})
                 : 0));
  }
  CHECK(counts.pairs() == pairs);
  CHECK(expected.size() > 100000);
}

TEST_CASE("Probes are no text: their pairs do not count", "[data][bigrams]") {
  const TempFolder folder;
  TokenDatasets datasets;
  datasets.push_back(make_dataset(folder / "text", {{1, 2, 3}}));
  TokenDatasetWriter writer({.output = folder / "probes",
                             .tokenizer_hash = "hash",
                             .vocab_size = kWideVocabSize,
                             .label_stand_in = 9});
  writer.begin_document();
  writer.append(std::vector<std::int32_t>{1, 2}, false);
  writer.append(std::vector<std::int32_t>{3}, true);
  writer.finish();
  writer.publish();
  datasets.push_back(std::make_unique<TokenDataset>(folder / "probes", "hash", kWideVocabSize));
  const BigramCounts counts(datasets);
  CHECK(counts.pairs() == 2);
  CHECK(counts.count(1, 2) == 1);
}

TEST_CASE("A sample takes from each dataset in proportion and over all of its length",
          "[data][bigrams]") {
  const TempFolder folder;
  // Token i of a dataset is followed by i + 1, so that each pair tells where it stood.
  const auto ascending = [](std::int32_t first, std::int32_t count) {
    std::vector<std::int32_t> tokens;
    for (std::int32_t i = 0; i < count; ++i) tokens.push_back(first + i);
    return Documents{tokens};
  };
  std::vector<std::unique_ptr<TokenDataset>> datasets;
  datasets.push_back(make_dataset(folder / "a", ascending(0, 48000)));
  datasets.push_back(make_dataset(folder / "b", ascending(50000, 12000)));
  const BigramCounts counts(datasets, 3001), again(datasets, 3001);
  const auto counted = [&](std::int32_t begin, std::int32_t end) {
    std::int64_t pairs = 0;
    for (auto token = begin; token < end; ++token) {
      const auto count = counts.count(token, token + 1);
      REQUIRE(count <= 1);
      REQUIRE(again.count(token, token + 1) == count);
      pairs += count;
    }
    return pairs;
  };
  CHECK(counts.pairs() <= 3001);
  CHECK(counts.pairs() >= 2999);
  CHECK(counted(0, 48000) == 2400);
  CHECK(counted(50000, 62000) == 600);
  for (std::int32_t tenth = 0; tenth < 10; ++tenth) {
    const auto pairs = counted(tenth * 4800, (tenth + 1) * 4800);
    CHECK(pairs >= 150);
    CHECK(pairs <= 300);
  }
  CHECK(BigramCounts(datasets, 60000).pairs() == 47999 + 11999);
  CHECK(BigramCounts(datasets, 0).pairs() == 0);
}

TEST_CASE("A rare pair occurs at most once in each million", "[data][bigrams]") {
  const TempFolder folder;
  // Two million and one tokens: pairs of zeros but for the first few.
  std::vector<std::int32_t> tokens(2'000'001, 0);
  const std::vector<std::int32_t> head = {1, 2, 1, 2, 1, 2, 3, 2, 3, 4};
  std::copy(head.begin(), head.end(), tokens.begin());
  std::vector<std::unique_ptr<TokenDataset>> datasets;
  datasets.push_back(make_dataset(folder / "a", {tokens}));
  const BigramCounts counts(datasets);
  REQUIRE(counts.pairs() == 2'000'000);
  CHECK(counts.count(1, 2) == 3);
  CHECK_FALSE(counts.is_rare(1, 2));
  CHECK(counts.count(2, 3) == 2);
  CHECK(counts.is_rare(2, 3));
  CHECK(counts.is_rare(4, 0));
  CHECK(counts.is_rare(9, 9));
  CHECK_FALSE(counts.is_rare(0, 0));

  std::vector<std::unique_ptr<TokenDataset>> small;
  small.push_back(make_dataset(folder / "b", {{1, 2, 3}}));
  CHECK_FALSE(BigramCounts(small).is_rare(1, 2));
  CHECK(BigramCounts(small).is_rare(2, 1));
  CHECK(BigramCounts(std::vector<std::unique_ptr<TokenDataset>>{}).is_rare(1, 2));
}
