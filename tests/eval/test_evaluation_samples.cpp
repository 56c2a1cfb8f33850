#include "eval/evaluation_samples.h"

#include "base/error.h"
#include "support/catch.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct Datasets {
  TemporaryFolder folder;
  std::unique_ptr<Tokenizer> tokenizer;

  Datasets() {
    make_tiny_data(folder);
    tokenizer = std::make_unique<Tokenizer>(folder / "tok.model");
  }

  TokenDatasets open(const std::vector<std::filesystem::path>& paths) const {
    std::vector<DataSource> sources;
    for (const auto& path : paths) sources.push_back({path, std::nullopt});
    return open_datasets(sources, *tokenizer, 300);
  }
};

TEST_CASE("shares of the limit are equal, and what a small dataset leaves is the others'") {
  const Datasets data;
  const auto datasets = data.open({data.folder / "valid", data.folder / "train"});
  const auto small = datasets[0]->tokens() - 1, large = datasets[1]->tokens() - 1;
  const auto cut = [&](std::int64_t length, std::int64_t limit) {
    const auto samples = cut_into_samples(datasets, length, limit);
    REQUIRE(samples[0].name == "train");
    REQUIRE(samples[0].index == 1);
    REQUIRE(samples[1].name == "valid");
    return std::pair(samples[0].tokens(length), samples[1].tokens(length));
  };
  REQUIRE(cut(10, 0) == std::pair(large, small));
  REQUIRE(cut(10, small + large) == std::pair(large, small));
  REQUIRE(cut(10, 100) == std::pair<std::int64_t, std::int64_t>(50, 50));
  REQUIRE(cut(10, 119) == std::pair<std::int64_t, std::int64_t>(60, 50));
  REQUIRE(cut(10, 2 * small + 40) == std::pair((small + 40) / 10 * 10, small));
}

TEST_CASE("a share that is smaller than one sample is refused with what would do") {
  const Datasets data;
  const auto datasets = data.open({data.folder / "valid", data.folder / "train"});
  REQUIRE(cut_into_samples(datasets, 50, 100).size() == 2);
  try {
    cut_into_samples(datasets, 50, 99);
    FAIL("nothing was refused");
  } catch (const InputError& error) {
    const std::string message = error.what();
    REQUIRE(message.find("valid: its share of 99 evaluation tokens, 49, is less than one window "
                         "of 50") != std::string::npos);
    REQUIRE(message.find("at least 100 tokens") != std::string::npos);
  }
}

TEST_CASE("datasets whose folders share a name are named by their paths") {
  const Datasets data;
  std::filesystem::create_directory(data.folder / "other");
  std::filesystem::copy(data.folder / "valid", data.folder / "other/valid");
  const auto datasets = data.open({data.folder / "valid", data.folder / "other/valid"});
  const auto samples = cut_into_samples(datasets, 10, 0);
  REQUIRE(samples[0].name == (data.folder / "other/valid").string());
  REQUIRE(samples[1].name == (data.folder / "valid").string());
}

TEST_CASE("a whole dataset's last sample is partial") {
  const Datasets data;
  const auto datasets = data.open({data.folder / "valid"});
  const auto tokens = datasets[0]->tokens();
  const auto samples = cut_into_samples(datasets, tokens - 3, 0).front();
  REQUIRE(samples.whole.size() == 1);
  REQUIRE(samples.partial);
  REQUIRE(samples.partial->first.begin == tokens - 3);
  REQUIRE(samples.partial->second == 2);
  REQUIRE_FALSE(cut_into_samples(datasets, tokens - 1, 0).front().partial);
}

}  // namespace
}  // namespace zebra
