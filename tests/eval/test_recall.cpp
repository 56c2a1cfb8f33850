#include "eval/recall.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "eval/perplexity.h"
#include "support/models.h"
#include "support/tensors.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct Probed {
  explicit Probed(const std::string& pattern) : model(section_of(pattern)) {
    make_tiny_data(folder);
    tokenizer = std::make_unique<Tokenizer>(folder / "tok.model");
    vocabulary = std::make_unique<ProbeVocabulary>(*tokenizer, ProbeVocabularySizes{16, 8});
    model->initialize(3);
  }
  static ModelConfig section_of(const std::string& pattern) {
    auto section = small_model(pattern, /*window=*/3);
    section.vocab_size = 300;
    section.initializer_range = 0.3;  // so that answers are not all alike
    return section;
  }
  std::vector<AnswerScore> scores(const ProbeEvaluation& evaluation) {
    return score_probes(model, *vocabulary, evaluation);
  }

  TemporaryFolder folder;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ProbeVocabulary> vocabulary;
  ZebraModel model;
};

TEST_CASE("an answer's score is that of its token after its own beginning alone") {
  Probed probed("GLL");
  const auto task = GENERATE(ProbeTask::associative_recall, ProbeTask::passkey, ProbeTask::copying,
                             ProbeTask::variable_tracking);
  const ProbeSpec spec = {task, {3, 3}, 60};
  constexpr std::int64_t kItems = 170;  // more than one batch
  const auto scores = probed.scores({.spec = spec, .items = kItems, .seed = 5});

  const torch::NoGradGuard no_grad;
  std::size_t next = 0;
  for (std::int64_t item = 0; item < kItems; ++item) {
    const auto probe = make_probe(spec, *probed.vocabulary,
                                  {ProbeSplit::evaluation, 5, static_cast<std::uint64_t>(item)});
    for (const auto& answer : probe.answers) {
      const auto& score = scores.at(next++);
      REQUIRE(score.item == item);
      REQUIRE(score.distance == answer.distance);
      const auto blind =
          key_blind_hits(spec, *probed.vocabulary, probe, static_cast<std::uint64_t>(item),
                         /*own_reach=*/2 * 3);  // two local layers of three tokens each
      REQUIRE(score.key_blind_hits ==
              blind[static_cast<std::size_t>(&answer - probe.answers.data())]);
      if (item % 40 != 0) continue;  // one forward pass each: a few are enough
      std::vector<std::int64_t> prefix(probe.tokens.begin(),
                                       probe.tokens.begin() + answer.position);
      const auto hidden = probed.model->forward(torch::tensor(prefix).unsqueeze(0));
      const auto logits = probed.model->logits(hidden[0][-1]).to(torch::kFloat64);
      const auto target = answer.token;
      const double expected = torch::log_softmax(logits, 0)[target].item<double>();
      REQUIRE(score.log_likelihood == Approx(expected).margin(1e-4));
      REQUIRE(score.is_exact == (logits.argmax().item<std::int64_t>() == target));
    }
  }
  REQUIRE(next == scores.size());
}

TEST_CASE("a model of local layers scores answers beyond its reach without seeing their source") {
  Probed probed("LLL");
  const ProbeSpec spec = {ProbeTask::associative_recall, {3, 3}, 60};
  const auto scores = probed.scores({.spec = spec, .items = 20, .seed = 1});
  const torch::NoGradGuard no_grad;
  std::size_t next = 0;
  for (std::uint64_t item = 0; item < 20; ++item) {
    const auto probe = make_probe(spec, *probed.vocabulary, {ProbeSplit::evaluation, 1, item});
    for (const auto& answer : probe.answers) {
      const auto score = scores.at(next++);
      if (spec.bands.band_of(answer.distance) != DistanceBand::beyond) continue;
      auto tokens = torch::tensor(
          std::vector<std::int64_t>(probe.tokens.begin(), probe.tokens.begin() + answer.position));
      tokens[answer.source()] = (tokens[answer.source()] + 1) % 300;
      const auto hidden = probed.model->forward(tokens.unsqueeze(0));
      const auto logits = probed.model->logits(hidden[0][-1]).to(torch::kFloat64);
      const auto target = answer.token;
      REQUIRE(torch::log_softmax(logits, 0)[target].item<double>() ==
              Approx(score.log_likelihood).margin(1e-4));
    }
  }
}

struct Measured {
  Measured() : model(section()) {
    make_tiny_data(folder);
    tokenizer = std::make_unique<Tokenizer>(folder / "tok.model");
    train = open_datasets({{folder / "train", std::nullopt}}, *tokenizer, 300);
    validation = open_datasets({{folder / "valid", std::nullopt}}, *tokenizer, 300);
    model->initialize(3);
  }
  static ModelConfig section() {
    auto section = small_model("GLL", 3);
    section.vocab_size = 300;
    return section;
  }
  RecallOptions options() const {
    return {.bands = {3, 3},
            .lengths = {48, 64},
            .tasks = {ProbeTask::variable_tracking, ProbeTask::copying},
            .items = 7,
            .vocabulary = {16, 8},
            .max_tokens = 1000};
  }

  TemporaryFolder folder;
  std::unique_ptr<Tokenizer> tokenizer;
  TokenDatasets train, validation;
  ZebraModel model;
};

TEST_CASE("recall tells of the text by position, length and distance, and of every answer") {
  Measured measured;
  const auto result = recall_json(
      evaluate_recall(measured.model, *measured.tokenizer,
                      {measured.train, measured.validation, {}, 48, true}, measured.options()));
  const auto& text = result["text"];
  const auto perplexity =
      evaluate_perplexity(measured.model, *measured.tokenizer, measured.validation,
                          {.length = 48, .max_tokens = 1000, .document_mask = true});
  REQUIRE(text["loss"].get<double>() == Approx(perplexity.loss()));
  REQUIRE(text["tokens"].get<std::int64_t>() == perplexity.tokens);
  REQUIRE(text["by_length"].size() == 2);
  REQUIRE(text["by_length"][0]["loss"].get<double>() == text["loss"].get<double>());
  std::vector<std::string> classes;
  std::int64_t tokens = 0;
  for (const auto& row : text["bigrams"]) {
    classes.push_back(row["class"].get<std::string>());
    REQUIRE(row["nats"].size() == 1000 / 48);
    for (const auto& count : row["tokens"]) tokens += count.get<std::int64_t>();
  }
  REQUIRE(classes == std::vector<std::string>{"control", "relay", "beyond", "rest"});
  REQUIRE(tokens == perplexity.tokens);

  REQUIRE(result["probes"].size() == 4);  // tasks x lengths
  for (const auto& probe : result["probes"]) {
    REQUIRE(probe["values"] == 8);
    const auto answers = probe["item"].size();
    const bool is_copying = probe["task"] == "copying";
    REQUIRE(answers == (is_copying ? 7U * 4U : 7U));
    REQUIRE(probe["chance"].get<double>() == Approx(std::pow(0.125, is_copying ? 4 : 1)));
    for (const char* column : {"distance", "log_likelihood", "exact", "blind"})
      REQUIRE(probe[column].size() == answers);
    REQUIRE(probe["strategies"].size() == key_blind_strategies().size());
    REQUIRE(probe.contains("hops") == !is_copying);
  }
}

TEST_CASE("probes need no text, and what does not fit is said at once") {
  Measured measured;
  const TokenDatasets none;
  auto options = measured.options();
  const auto result = recall_json(
      evaluate_recall(measured.model, *measured.tokenizer, {none, none, {}, 48, true}, options));
  REQUIRE(result["text"].is_null());
  REQUIRE(result["probes"].size() == 4);
  options.lengths = {10};
  options.bands.window = 0;
  options.vocabulary.keys = 1;
  try {
    evaluate_recall(measured.model, *measured.tokenizer, {none, none, {}, 48, true}, options);
    FAIL("nothing was refused");
  } catch (const InputError& error) {
    const std::string message = error.what();
    for (const char* part : {"window", "variable_tracking", "copying", "keys"}) {
      INFO(part);
      REQUIRE(message.find(part) != std::string::npos);
    }
  }
}

TEST_CASE("what is not finite is named: each loss, and each probe of each checkpoint") {
  const auto answers = [](double log_likelihood) {
    return std::vector<AnswerScore>{{.item = 0,
                                     .distance = 3,
                                     .key_blind_hits = 0,
                                     .log_likelihood = log_likelihood,
                                     .is_exact = false}};
  };
  const auto probes = [&](double log_likelihood) {
    return std::vector<ProbeResult>{{.task = ProbeTask::copying,
                                     .length = 48,
                                     .difficulty = {},
                                     .values = 8,
                                     .chance = 0.125,
                                     .answers = answers(log_likelihood)}};
  };
  RecallResult result = {.length = 32, .bands = {3, 3}, .text = std::nullopt, .probes = probes(-1)};
  result.text.emplace();
  auto& text = *result.text;
  text.perplexity.length = 32;
  text.perplexity.nats = text.perplexity.targets = 1.0;
  text.by_length = {{48, 2.0}, {64, 2.0}};  // the run's own length is not among them
  result.earlier = {{10, probes(-2.0)}, {20, probes(-3.0)}};
  REQUIRE_NOTHROW(require_finite(result));

  const auto message = [&] {
    try {
      require_finite(result);
    } catch (const RunError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  result.earlier[1].probes = probes(std::nan(""));
  REQUIRE_THAT(message(), Catch::Matchers::StartsWith("copying at 48 in step 20 is not a finite"));
  text.perplexity.nats = std::nan("");
  text.by_length[1].second = HUGE_VAL;
  REQUIRE_THAT(message(),
               Catch::Matchers::StartsWith(
                   "the loss at length 32, the loss at length 64, copying at 48 in step 20 is"));
}

}  // namespace
}  // namespace zebra
