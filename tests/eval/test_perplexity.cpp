#include "eval/perplexity.h"

#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/training_data.h"
#include "support/ranks.h"
#include "support/tensors.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct PerplexityFixture {
  TemporaryFolder folder;
  Config config;
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<std::unique_ptr<TokenDataset>> datasets;
  ZebraModel model{nullptr};

  PerplexityFixture() {
    make_tiny_data(folder);
    config = tiny_run(folder);
    tokenizer = std::make_unique<Tokenizer>(config.data.tokenizer);
    datasets = open_datasets(config.data.validation, *tokenizer, 300);
    model = ZebraModel(config.model);
    model->initialize(1);
  }

  // The definition, one window at a time, from dense logits.
  Perplexity by_hand(std::int64_t length, std::int64_t samples, bool document_mask) {
    const torch::NoGradGuard no_grad;
    const auto& dataset = *datasets[0];
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(dataset.tokens()));
    dataset.copy_tokens(0, tokens);
    Perplexity sums;
    for (std::int64_t w = 0; w < samples; ++w) {
      const auto begin = static_cast<std::size_t>(w * length);
      if (begin + 1 >= tokens.size()) break;
      const auto end = std::min(begin + static_cast<std::size_t>(length), tokens.size() - 1);
      const std::vector<std::int64_t> input(tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                                            tokens.begin() + static_cast<std::ptrdiff_t>(end));
      std::vector<std::int64_t> starts;
      for (std::size_t t = 1; t < input.size(); ++t) {
        if (document_mask && input[t] == tokenizer->bos())
          starts.push_back(static_cast<std::int64_t>(t));
      }
      const auto hidden = model->forward(
          torch::tensor(input, torch::kInt64).unsqueeze(0),
          PackedDocuments::from_starts({starts}, static_cast<std::int64_t>(input.size())));
      const auto log_probabilities = torch::log_softmax(model->logits(hidden)[0], -1);
      for (std::size_t t = 0; t < input.size(); ++t) {
        const auto target = tokens[begin + t + 1];
        if (document_mask && target == tokenizer->bos()) continue;
        sums.nats -= log_probabilities[static_cast<std::int64_t>(t)][target].item<double>();
        sums.text_bytes += static_cast<double>(tokenizer->text_bytes(target));
        ++sums.tokens;
        ++sums.targets;
      }
    }
    return sums;
  }
};

TEST_CASE("perplexity equals the definition, with and without a limit") {
  PerplexityFixture fixture;
  const bool document_mask = GENERATE(true, false);
  const std::int64_t length = GENERATE(1, 7, 50);
  const auto predictable = fixture.datasets[0]->tokens() - 1;
  const auto whole = predictable / length;
  const auto limited = evaluate_perplexity(fixture.model, *fixture.tokenizer, fixture.datasets,
                                           {length, 3 * length + length / 2, document_mask});
  const auto expected = fixture.by_hand(length, 3, document_mask);
  REQUIRE(limited.tokens == expected.tokens);
  REQUIRE(limited.text_bytes == expected.text_bytes);
  REQUIRE(limited.nats == Approx(expected.nats).epsilon(1e-5));
  REQUIRE(limited.loss() == Approx(expected.loss()).epsilon(1e-5));

  const auto all = evaluate_perplexity(fixture.model, *fixture.tokenizer, fixture.datasets,
                                       {length, 0, document_mask});
  const auto expected_all = fixture.by_hand(length, whole + 1, document_mask);
  REQUIRE(all.tokens == expected_all.tokens);
  REQUIRE(all.nats == Approx(expected_all.nats).epsilon(1e-5));
  if (!document_mask) REQUIRE(all.tokens == predictable);
  REQUIRE(all.bits_per_byte() == Approx(all.nats / std::log(2.0) / all.text_bytes));
  REQUIRE(all.perplexity() == Approx(std::exp(all.nats / static_cast<double>(all.tokens))));
}

TEST_CASE("ranks share the work and all get the figures of one") {
  PerplexityFixture fixture;
  auto both = open_datasets({fixture.config.data.validation[0], fixture.config.data.train[0]},
                            *fixture.tokenizer, 300);
  // At 8192 tokens to a batch the first makes more batches than there are ranks, the second one.
  const auto options =
      GENERATE(EvaluationOptions{50, 0, true}, EvaluationOptions{1000, 3000, false});
  const auto expected = evaluate_perplexity(fixture.model, *fixture.tokenizer, both, options);
  const int ranks = GENERATE(1, 2, 3, 4);
  std::vector<Perplexity> results(static_cast<std::size_t>(ranks));
  run_on_ranks(ranks, 1, [&](TestRank& own) {
    ZebraModel model(fixture.config.model);
    model->initialize(1);
    auto shared = options;
    shared.ranks = own.all.get();
    results[static_cast<std::size_t>(own.rank)] =
        evaluate_perplexity(model, *fixture.tokenizer, both, shared);
  });
  for (const auto& result : results) {
    INFO("ranks " << ranks << " length " << options.length);
    REQUIRE(result.length == expected.length);
    REQUIRE(result.tokens == expected.tokens);
    REQUIRE(result.text_bytes == expected.text_bytes);
    REQUIRE(result.nats == Approx(expected.nats).epsilon(1e-6));
    REQUIRE(result.nats == results.front().nats);
    for (const auto buckets : {&Perplexity::by_position, &Perplexity::by_visible}) {
      const auto &own = result.*buckets, &of_one = expected.*buckets;
      REQUIRE(own.size() == of_one.size());
      for (std::size_t i = 0; i < of_one.size(); ++i) {
        REQUIRE(own[i].begin == of_one[i].begin);
        REQUIRE(own[i].targets == Approx(of_one[i].targets));
        REQUIRE(own[i].nats == Approx(of_one[i].nats).epsilon(1e-6));
      }
    }
  }
}

TEST_CASE("what is visible is counted from the beginning of the document") {
  PerplexityFixture fixture;
  const bool document_mask = GENERATE(true, false);
  constexpr std::int64_t kLength = 50;
  const auto result = evaluate_perplexity(fixture.model, *fixture.tokenizer, fixture.datasets,
                                          {kLength, 500, document_mask});
  std::vector<std::int32_t> tokens(501);
  fixture.datasets[0]->copy_tokens(0, tokens);
  std::map<std::int64_t, double> expected;  // targets by the begin of the bucket
  std::int64_t visible = 0;
  for (std::size_t t = 0; t < 500; ++t, ++visible) {
    const bool begins = document_mask && tokens[t] == fixture.tokenizer->bos();
    if (begins || t % kLength == 0) visible = 0;
    if (document_mask && tokens[t + 1] == fixture.tokenizer->bos()) continue;
    std::int64_t begin = 0;
    for (std::int64_t next = 1; next <= visible; next *= 2) begin = next;
    expected[begin] += 1;
  }
  REQUIRE(result.by_visible.size() == expected.size());
  double nats = 0;
  for (const auto& bucket : result.by_visible) {
    INFO(bucket.begin);
    REQUIRE(bucket.targets == expected[bucket.begin]);
    nats += bucket.nats;
  }
  REQUIRE(nats == Approx(result.nats));
  if (!document_mask) REQUIRE(by_visible_json(result) == by_position_json(result));
  REQUIRE(perplexity_json({result})["by_visible"].size() == expected.size());
}

TEST_CASE("buckets of positions double and add up to the whole") {
  PerplexityFixture fixture;
  const auto result =
      evaluate_perplexity(fixture.model, *fixture.tokenizer, fixture.datasets, {50, 500, false});
  std::int64_t begin = 0;
  double targets = 0, nats = 0;
  for (const auto& bucket : result.by_position) {
    REQUIRE(bucket.begin == begin);
    REQUIRE(bucket.targets == static_cast<double>((bucket.end - bucket.begin) * 10));
    begin = bucket.end;
    targets += bucket.targets;
    nats += bucket.nats;
  }
  REQUIRE(begin == 50);
  REQUIRE(result.by_position[3].begin == 4);
  REQUIRE(targets == static_cast<double>(result.tokens));
  REQUIRE(nats == Approx(result.nats));
}

TEST_CASE("of several datasets each is read, and the order of the list changes nothing") {
  PerplexityFixture fixture;
  const DataSource valid = fixture.config.data.validation[0], train = fixture.config.data.train[0];
  const auto evaluate = [&](const std::vector<DataSource>& sources, std::int64_t limit,
                            std::vector<double> weights) {
    const auto datasets = open_datasets(sources, *fixture.tokenizer, 300);
    return evaluate_perplexity(
        fixture.model, *fixture.tokenizer, datasets,
        {.length = 10, .max_tokens = limit, .document_mask = false, .weights = std::move(weights)});
  };
  const std::int64_t limit = GENERATE(0, 205);
  const auto of_each = limit == 0 ? 0 : 100;
  const auto of_train = evaluate({train}, of_each, {}), of_valid = evaluate({valid}, of_each, {});
  const auto mean_with = [&](double train_weight, double valid_weight) {
    return (train_weight * of_train.loss() + valid_weight * of_valid.loss()) /
           (train_weight + valid_weight);
  };
  const auto tokens_of = [&](const DataSource& source) {
    return static_cast<double>(open_datasets({source}, *fixture.tokenizer, 300)[0]->tokens() - 1);
  };

  const auto both = evaluate({valid, train}, limit, {});
  REQUIRE(both.tokens == of_train.tokens + of_valid.tokens);
  REQUIRE(both.loss() == Approx(mean_with(tokens_of(train), tokens_of(valid))).epsilon(1e-6));
  REQUIRE(both.by_dataset.size() == 2);
  REQUIRE(both.by_dataset[0].name == "train");
  REQUIRE(both.by_dataset[0].loss == of_train.loss());
  REQUIRE(both.by_dataset[0].tokens == of_train.tokens);
  REQUIRE(both.by_dataset[1].name == "valid");
  REQUIRE(both.by_dataset[1].loss == of_valid.loss());
  const auto swapped = evaluate({train, valid}, limit, {});
  REQUIRE(swapped.loss() == both.loss());
  REQUIRE(swapped.bits_per_byte() == both.bits_per_byte());
  REQUIRE(swapped.by_dataset[0].loss == both.by_dataset[0].loss);

  const auto weighted = evaluate({valid, train}, limit, {1.0, 3.0});
  REQUIRE(weighted.loss() == Approx(mean_with(3.0, 1.0)).epsilon(1e-6));
  REQUIRE(evaluate({train, valid}, limit, {3.0, 1.0}).loss() == weighted.loss());
}

TEST_CASE("data without a single target that counts is refused") {
  PerplexityFixture fixture;
  REQUIRE_THROWS_AS(
      evaluate_perplexity(fixture.model, *fixture.tokenizer, fixture.datasets, {1000000, 10, true}),
      InputError);
}

TEST_CASE("losses that are not finite are named by their lengths, and null in JSON") {
  std::vector<Perplexity> results(3);
  for (std::size_t i = 0; i < results.size(); ++i) {
    results[i].length = 16 << i;
    results[i].nats = 3.5;
    results[i].targets = 1.0;
    results[i].text_bytes = 2.0;
  }
  REQUIRE_NOTHROW(require_finite(results));
  results[0].nats = std::numeric_limits<double>::infinity();
  results[2].nats = std::numeric_limits<double>::quiet_NaN();
  REQUIRE_THROWS_AS(require_finite(results), RunError);
  REQUIRE_THROWS_WITH(require_finite(results),
                      Catch::Matchers::StartsWith("the loss at length 16, 64 is not a finite"));
  const auto json = nlohmann::json::parse(perplexity_json(results).dump());
  REQUIRE(json["loss"].is_null());
  REQUIRE(json["by_length"][0]["loss"].is_null());
  REQUIRE(json["by_length"][1]["loss"] == 3.5);
}

TEST_CASE("every figure of an evaluation is a finite number, not only the loss") {
  std::vector<Perplexity> results(2);
  for (auto& result : results) {
    result.length = 8;
    result.nats = 3.5;
    result.targets = 1.0;
    result.text_bytes = 2.0;
  }
  results[1].length = 16;
  REQUIRE_NOTHROW(require_finite(results));
  results[1].text_bytes = 0.0;  // nothing but EOS was predicted
  REQUIRE_THROWS_AS(require_finite(results), RunError);
  REQUIRE_THROWS_WITH(require_finite(results),
                      Catch::Matchers::StartsWith("bits per byte at length 16 are not a number"));
  results[0].nats = 800.0;
  REQUIRE_THROWS_WITH(require_finite(results),
                      Catch::Matchers::StartsWith("the perplexity at length 8 is beyond"));
  results[0].targets = 0.0;
  results[0].nats = 0.0;
  REQUIRE_THROWS_WITH(require_finite(results),
                      Catch::Matchers::StartsWith("the loss at length 8 is not a finite"));
}

}  // namespace
}  // namespace zebra
