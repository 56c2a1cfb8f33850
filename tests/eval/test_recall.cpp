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
  const auto result =
      evaluate_recall(measured.model, *measured.tokenizer,
                      {measured.train, measured.validation, 48, true}, measured.options());
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
    REQUIRE(answers == (is_copying ? 7U * 8U : 7U));
    REQUIRE(probe["chance"].get<double>() == Approx(std::pow(0.125, is_copying ? 8 : 1)));
    for (const char* column : {"distance", "log_likelihood", "exact"})
      REQUIRE(probe[column].size() == answers);
  }
}

TEST_CASE("probes need no text, and what does not fit is said at once") {
  Measured measured;
  const TokenDatasets none;
  auto options = measured.options();
  const auto result =
      evaluate_recall(measured.model, *measured.tokenizer, {none, none, 48, true}, options);
  REQUIRE(result["text"].is_null());
  REQUIRE(result["probes"].size() == 4);
  options.lengths = {10};
  options.bands.window = 0;
  options.vocabulary.keys = 1;
  try {
    evaluate_recall(measured.model, *measured.tokenizer, {none, none, 48, true}, options);
    FAIL("nothing was refused");
  } catch (const InputError& error) {
    const std::string message = error.what();
    for (const char* part : {"window", "variable_tracking", "copying", "keys"}) {
      INFO(part);
      REQUIRE(message.find(part) != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace zebra
