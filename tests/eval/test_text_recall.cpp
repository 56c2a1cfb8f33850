#include "eval/text_recall.h"

#include <map>
#include <random>
#include <set>

#include "base/error.h"
#include "data/token_dataset.h"
#include "data/tokenizer.h"
#include "eval/perplexity.h"
#include "support/models.h"
#include "support/tensors.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr std::int64_t kVocabSize = 300;

/// A document and which of its tokens count as targets; all when empty.
struct Document {
  std::vector<std::int32_t> tokens;
  std::vector<bool> counts = {};
};
using Documents = std::vector<Document>;

std::unique_ptr<TokenDataset> make_dataset(const std::filesystem::path& path,
                                           const Documents& documents, const std::string& hash) {
  TokenDatasetWriter writer({path, hash, kVocabSize});
  for (const auto& document : documents) {
    writer.begin_document();
    for (std::size_t i = 0; i < document.tokens.size(); ++i)
      writer.append({&document.tokens[i], 1}, document.counts.empty() || document.counts[i]);
  }
  writer.finish();
  writer.publish();
  return std::make_unique<TokenDataset>(path, hash, kVocabSize);
}

/// Each document uses a few ids of its own, so that pairs repeat within it at all distances.
Documents repetitive_documents(unsigned seed, int count, unsigned longest, bool masked) {
  std::mt19937 random(seed);
  Documents documents(static_cast<std::size_t>(count));
  for (auto& document : documents) {
    std::vector<std::int32_t> ids(4 + random() % 9);
    for (auto& id : ids) id = static_cast<std::int32_t>(random() % 40);
    const auto tokens = 1 + random() % longest;
    for (unsigned i = 0; i < tokens; ++i) {
      document.tokens.push_back(ids[random() % ids.size()]);
      document.counts.push_back(!masked || random() % 5 != 0);
    }
  }
  return documents;
}

/// Weights large enough that a token at the edge of what a model sees shows in a loss.
ZebraModel make_model(const std::string& pattern, std::int64_t window) {
  auto section = small_model(pattern, window);
  section.vocab_size = kVocabSize;
  section.max_position_embeddings = 256;
  ZebraModel model(section);
  model->initialize(1);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->parameters()) {
    if (parameter.dim() == 2) parameter.mul_(8);
  }
  return model;
}

/// All tokens of a text in order, with what evaluations look at.
struct FlatText {
  std::vector<std::int32_t> tokens;
  std::vector<bool> counts;
  std::vector<std::size_t> document;

  explicit FlatText(const Documents& documents) {
    for (std::size_t d = 0; d < documents.size(); ++d) {
      const auto& [ids, marks] = documents[d];
      tokens.insert(tokens.end(), ids.begin(), ids.end());
      counts.insert(counts.end(), marks.begin(), marks.end());
      document.insert(document.end(), ids.size(), d);
    }
  }
};

/// Loss of the last of the tokens [begin, end] after those before it, from dense logits.
double loss_after(ZebraModel& model, const FlatText& text, std::size_t begin, std::size_t end) {
  const torch::NoGradGuard no_grad;
  const std::vector<std::int64_t> input(text.tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                                        text.tokens.begin() + static_cast<std::ptrdiff_t>(end));
  const auto hidden = model->forward(torch::tensor(input, torch::kInt64).unsqueeze(0));
  const auto last = model->logits(hidden)[0][-1].to(torch::kFloat64);
  return -torch::log_softmax(last, -1)[text.tokens[end]].item<double>();
}

/// The definitions, target by target, by comparing with every earlier token.
struct ByHand {
  std::vector<std::map<std::string, std::pair<double, std::int64_t>>> samples;
  std::vector<double> full, cut;
};

ByHand by_hand(ZebraModel& model, const std::set<std::pair<int, int>>& seen, const FlatText& text,
               const TextRecallOptions& options) {
  ByHand result;
  const auto length = static_cast<std::size_t>(options.length);
  const auto window = static_cast<std::size_t>(options.bands.window);
  const auto reach = window * static_cast<std::size_t>(options.bands.layers);
  for (std::size_t begin = 0; begin + length < text.tokens.size(); begin += length) {
    if (options.max_tokens > 0 && begin + length > static_cast<std::size_t>(options.max_tokens))
      break;
    auto& sums = result.samples.emplace_back();
    for (std::size_t t = begin; t < begin + length; ++t) {
      const bool same_document = text.document[t] == text.document[t + 1];
      if (!text.counts[t + 1] || (options.document_mask && !same_document)) continue;
      std::size_t first = begin;
      while (options.document_mask && text.document[first] != text.document[t]) ++first;
      std::string name = "rest";
      for (std::size_t u = first; u < t; ++u) {
        if (text.tokens[u] != text.tokens[t] || text.tokens[u + 1] != text.tokens[t + 1] ||
            text.document[u] != text.document[u + 1] || !same_document ||
            seen.contains({text.tokens[t], text.tokens[t + 1]}))
          continue;
        const auto distance = t - u - 1;
        name = distance <= window ? "control" : distance <= reach ? "relay" : "beyond";
      }
      const double loss = loss_after(model, text, first, t + 1);
      sums[name].first += loss;
      ++sums[name].second;
      if (t - first > window) {
        result.full.push_back(loss);
        result.cut.push_back(loss_after(model, text, t - window, t + 1));
      }
    }
  }
  return result;
}

struct RecallFixture {
  TemporaryFolder folder;
  TokenDatasets train, validation;
  std::set<std::pair<int, int>> seen;  // pairs of the training data
  std::unique_ptr<FlatText> text;      // of the validation data

  explicit RecallFixture(bool masked = false, const std::string& hash = "hash") {
    const auto known = repetitive_documents(7, 9, 60, false);
    for (const auto& document : known) {
      for (std::size_t i = 1; i < document.tokens.size(); ++i)
        seen.insert({document.tokens[i - 1], document.tokens[i]});
    }
    train.push_back(make_dataset(folder / "train", known, hash));
    const auto documents = repetitive_documents(8, 12, 110, masked);
    text = std::make_unique<FlatText>(documents);
    validation.push_back(make_dataset(folder / "valid", documents, hash));
  }
};

void require_near(const std::vector<double>& actual, const std::vector<double>& expected,
                  double bound) {
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    INFO("value " << i << ": " << actual[i] << ", expected " << expected[i]);
    REQUIRE(std::abs(actual[i] - expected[i]) <= bound * (1 + std::abs(expected[i])));
  }
}

TEST_CASE("distances of answers, by hand") {
  const TemporaryFolder folder;
  const auto dataset =
      make_dataset(folder / "d", {{{1, 2, 3, 1, 2, 4, 1, 2}}, {{1, 2, 5, 5, 5, 5, 1, 2}}}, "hash");
  constexpr auto none = kNoSource;
  using Distances = std::vector<std::int64_t>;
  const Distances apart = {none, none, none, 2, none, none, 2, none,
                           none, none, none, 0, 0,    none, 5};
  const Distances together = {none, none, none, 2, none, none, 2, none,
                              1,    none, none, 0, 0,    none, 5};
  REQUIRE(source_distances({dataset.get(), 0}, 15, /*document_mask=*/true) == apart);
  REQUIRE(source_distances({dataset.get(), 0}, 15, /*document_mask=*/false) == together);
  // A window sees nothing of what stands before it; its last target stands behind its inputs.
  REQUIRE(source_distances({dataset.get(), 1}, 6, true) ==
          Distances{none, none, none, none, none, 2});
  REQUIRE(source_distances({dataset.get(), 4}, 3, true) == Distances{none, none, none});
}

TEST_CASE("classes, samples and contexts equal the definitions") {
  const bool masked = GENERATE(false, true);
  const bool document_mask = GENERATE(true, false);
  const std::int64_t length = GENERATE(61, 90);
  const std::int64_t max_tokens = GENERATE(0, 200);
  RecallFixture fixture(masked);
  auto model = make_model("GLL", 4);
  const TextRecallOptions options = {length, max_tokens, {6, 3}, document_mask, 100000};
  const auto expected = by_hand(model, fixture.seen, *fixture.text, options);
  const auto result = evaluate_text_recall(model, fixture.train, fixture.validation, options);

  const std::map<std::string, const SampleLosses*> classes = {
      {"control", &result.recall_in(DistanceBand::control)},
      {"relay", &result.recall_in(DistanceBand::relay)},
      {"beyond", &result.recall_in(DistanceBand::beyond)},
      {"rest", &result.rest}};
  for (const auto& [name, losses] : classes) {
    INFO(name << ", length " << length << ", mask " << document_mask);
    REQUIRE(losses->tokens.size() == expected.samples.size());
    std::vector<double> nats;
    std::int64_t tokens = 0;
    for (std::size_t w = 0; w < expected.samples.size(); ++w) {
      const auto& sums = expected.samples[w];
      const auto found = sums.find(name);
      nats.push_back(found == sums.end() ? 0.0 : found->second.first);
      REQUIRE(losses->tokens[w] == (found == sums.end() ? 0 : found->second.second));
      tokens += losses->tokens[w];
    }
    REQUIRE(tokens > 5);  // the case is in the data
    require_near(losses->nats, nats, 1e-5);
  }
  REQUIRE(expected.full.size() > 40);
  require_near(result.context.full, expected.full, 1e-5);
  require_near(result.context.cut, expected.cut, 1e-5);
}

TEST_CASE("samples and contexts of many batches keep their places") {
  TemporaryFolder folder;
  TokenDatasets none, validation;
  validation.push_back(
      make_dataset(folder / "valid", repetitive_documents(9, 260, 110, true), "hash"));
  auto model = make_model("L", 6);
  const auto result = evaluate_text_recall(model, none, validation, {61, 0, {6, 1}, true, 100000});
  const auto samples = (validation[0]->tokens() - 1) / 61;
  REQUIRE(samples * 61 > 8192);  // tokens of a batch
  REQUIRE(result.rest.tokens.size() == static_cast<std::size_t>(samples));
  for (std::int64_t w = 0; w < samples; ++w) {
    const auto index = static_cast<std::size_t>(w);
    std::int64_t tokens = result.rest.tokens[index];
    for (const auto& losses : result.recall) tokens += losses.tokens[index];
    REQUIRE(tokens == count_targets({validation[0].get(), w * 61}, 61, true).targets);
  }
  REQUIRE(result.context.full.size() * 7 > 8192);
  require_near(result.context.cut, result.context.full, 2e-5);
}

TEST_CASE("all classes together are the loss of the text") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const Tokenizer tokenizer(folder / "tok.model");
  RecallFixture fixture(true, tokenizer.hash());
  fixture.validation.push_back(
      std::make_unique<TokenDataset>(folder / "valid", tokenizer.hash(), kVocabSize));
  auto model = make_model("GLL", 4);
  const bool document_mask = GENERATE(true, false);
  // A share of the limit is one sample of the first, and not all of the second.
  const std::int64_t length = fixture.validation[0]->tokens() - 1;
  const std::int64_t limit = 2 * length + length / 2;
  REQUIRE(fixture.validation[1]->tokens() > limit);
  const auto expected =
      evaluate_perplexity(model, tokenizer, fixture.validation, {length, limit, document_mask});
  const auto result = evaluate_text_recall(model, fixture.train, fixture.validation,
                                           {length, limit, {6, 3}, document_mask});
  double nats = 0;
  std::int64_t tokens = 0;
  const auto add = [&](const SampleLosses& losses) {
    REQUIRE(losses.nats.size() == 2);
    REQUIRE(losses.tokens.size() == 2);
    for (std::size_t w = 0; w < 2; ++w) {
      nats += losses.nats[w];
      tokens += losses.tokens[w];
    }
  };
  for (const auto& losses : result.recall) add(losses);
  add(result.rest);
  REQUIRE(tokens == expected.tokens);
  double expected_nats = 0;  // without the weights of the datasets
  for (const auto& dataset : expected.by_dataset)
    expected_nats += dataset.loss * static_cast<double>(dataset.tokens);
  REQUIRE(nats == Approx(expected_nats).epsilon(1e-6));
}

/// Largest difference that the cut makes.
double effect_of_cut(const std::string& pattern, std::int64_t window, std::int64_t cut_window,
                     bool document_mask) {
  RecallFixture fixture;
  auto model = make_model(pattern, window);
  const auto context = evaluate_text_recall(model, fixture.train, fixture.validation,
                                            {80, 0, {cut_window, 3}, document_mask, 100000})
                           .context;
  REQUIRE(context.full.size() > 20);
  REQUIRE(context.cut.size() == context.full.size());
  return (torch::tensor(context.full, torch::kFloat64) -
          torch::tensor(context.cut, torch::kFloat64))
      .abs()
      .max()
      .item<double>();
}

TEST_CASE("a cut at the reach of the local layers changes nothing, one token less does") {
  const bool document_mask = GENERATE(true, false);
  constexpr double kRounding = 2e-5, kVisible = 2e-4;
  REQUIRE(effect_of_cut("L", 9, 9, document_mask) <= kRounding);
  REQUIRE(effect_of_cut("L", 9, 12, document_mask) <= kRounding);
  REQUIRE(effect_of_cut("L", 9, 8, document_mask) >= kVisible);
  REQUIRE(effect_of_cut("LLL", 4, 12, document_mask) <= kRounding);
  REQUIRE(effect_of_cut("LLL", 4, 11, document_mask) >= kVisible);
  REQUIRE(effect_of_cut("LGL", 4, 20, document_mask) >= kVisible);
}

TEST_CASE("targets are chosen by the seed among all that can be, in the order of the text") {
  RecallFixture fixture;
  auto model = make_model("GL", 4);
  const auto choose = [&](std::int64_t targets, std::uint64_t seed) {
    return evaluate_text_recall(model, fixture.train, fixture.validation,
                                {70, 0, {6, 2}, true, targets, 0, seed})
        .context;
  };
  const auto all = choose(100000, 1).full;
  const auto chosen = choose(60, 1), again = choose(60, 1), other = choose(60, 2);
  REQUIRE(all.size() > 150);
  REQUIRE(choose(100000, 2).full == all);
  REQUIRE(chosen.full.size() == 60);
  REQUIRE(chosen.cut.size() == 60);
  REQUIRE(again.full == chosen.full);
  REQUIRE(again.cut == chosen.cut);
  REQUIRE(other.full != chosen.full);
  std::size_t at = 0, before_the_middle = 0;
  for (const auto loss : chosen.full) {
    while (at < all.size() && all[at] != loss) ++at;
    REQUIRE(at < all.size());
    before_the_middle += at++ < all.size() / 2;
  }
  REQUIRE(before_the_middle >= 15);  // of 60, 30 being expected
  REQUIRE(before_the_middle <= 45);
  REQUIRE(choose(0, 1).full.empty());
  // A longer sample holds the shorter one.
  const auto more = choose(61, 1).full;
  REQUIRE(more.size() == 61);
  REQUIRE(std::ranges::includes(std::multiset<double>(more.begin(), more.end()),
                                std::multiset<double>(chosen.full.begin(), chosen.full.end())));
}

TEST_CASE("a short context is an eighth of the whole, whatever the window") {
  REQUIRE(short_context(4096) == 512);
  REQUIRE(short_context(3) == 1);
  RecallFixture fixture;
  auto model = make_model("GL", 4);
  const auto evaluate = [&](std::int64_t window) {
    TextRecallOptions options = {61, 0, {window, 3}, true, 100};
    options.long_context_targets = 100;
    return evaluate_text_recall(model, fixture.train, fixture.validation, options);
  };
  const auto result = evaluate(7), other = evaluate(12);
  REQUIRE(result.long_context.full.size() == 100);
  REQUIRE(result.long_context.full == result.context.full);  // 61 / 8 tokens stay in both
  REQUIRE(result.long_context.cut == result.context.cut);
  REQUIRE(other.long_context.cut == result.long_context.cut);
  REQUIRE(other.context.cut != result.context.cut);
}

TEST_CASE("samples shorter than the cut leave no context to cut, and progress ends at its total") {
  RecallFixture fixture;
  auto model = make_model("GL", 4);
  std::vector<std::pair<std::int64_t, std::int64_t>> calls;
  TextRecallOptions options = {20, 0, {20, 2}, false};
  options.progress = [&](std::int64_t done, std::int64_t total) { calls.push_back({done, total}); };
  const auto samples = (fixture.validation[0]->tokens() - 1) / 20;
  for (const std::int64_t expected : {0, 10}) {
    options.context_targets = 10;
    options.long_context_targets = 0;
    options.bands.window = expected == 0 ? 20 : 6;
    calls.clear();
    const auto result = evaluate_text_recall(model, fixture.train, fixture.validation, options);
    REQUIRE(result.context.full.size() == static_cast<std::size_t>(expected));
    REQUIRE(result.context.cut.size() == static_cast<std::size_t>(expected));
    REQUIRE(calls.front().first == 0);
    REQUIRE(calls.front().second == samples * 20 + 10 * (options.bands.window + 1));
    REQUIRE(calls.back().first == samples * 20 + expected * 7);
    for (std::size_t i = 1; i < calls.size(); ++i) REQUIRE(calls[i].first > calls[i - 1].first);
    if (expected > 0) REQUIRE(calls.back().second == calls.back().first);
  }
}

TEST_CASE("text without a single target that counts is refused") {
  RecallFixture fixture;
  auto model = make_model("GL", 4);
  REQUIRE_THROWS_AS(
      evaluate_text_recall(model, fixture.train, fixture.validation, {1000000, 0, {4, 2}, true}),
      InputError);
  TokenDatasets single;
  single.push_back(make_dataset(fixture.folder / "single", {{{1}}, {{2}}, {{3}}}, "hash"));
  REQUIRE_THROWS_AS(evaluate_text_recall(model, fixture.train, single, {1, 0, {4, 2}, true}),
                    InputError);
}

}  // namespace
}  // namespace zebra
