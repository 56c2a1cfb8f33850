#include "eval/exact_answers.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "eval/generate.h"
#include "eval/generated_text.h"
#include "support/models.h"
#include "support/tensors.h"
#include "support/text.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct Asked {
  Asked() : model(config()) {
    make_tiny_data(folder);
    tokenizer = std::make_unique<Tokenizer>(folder / "tok.model");
    model->initialize(3);
  }
  static ModelConfig config() {
    auto config = small_model("GLL", /*window=*/3);
    config.vocab_size = 300;
    config.max_position_embeddings = 256;
    config.initializer_range = 0.5;  // so that what it says depends on the prompt
    return config;
  }
  std::vector<GivenAnswer> answers(const std::vector<Question>& questions) {
    return answer_questions(model, *tokenizer, questions);
  }

  // The line that greedy generation begins with, of at most so many tokens.
  std::string first_line(const std::string& prompt, std::int64_t most) {
    std::vector<std::int32_t> tokens = {tokenizer->bos()};
    for (const auto token : tokenizer->encode(prompt)) tokens.push_back(token);
    GeneratedText text(*tokenizer, tokens);
    std::string said;
    SamplingOptions greedy;
    greedy.temperature = 0.0;
    greedy.max_new_tokens = most;
    greedy.stop_token = tokenizer->eos();
    for (const auto token : generate(model, tokens, greedy)) said += text.add(token);
    said += text.finish();
    return said.substr(0, said.find('\n'));
  }

  TemporaryFolder folder;
  std::unique_ptr<Tokenizer> tokenizer;
  ZebraModel model;
};

Question question(std::string prompt, std::string answer) {
  return {std::move(prompt), std::move(answer), "", {}, {}};
}

TEST_CASE("an answer is the line that greedy generation begins with") {
  Asked asked;
  const std::string prompt = "zebra stripe\nglobal local\nQuestion: zebra\nAnswer: ";
  const auto [tokens, distance, text, is_exact] =
      asked.answers({question(prompt, "stripe")}).front();
  CHECK_FALSE(text.empty());
  CHECK_FALSE(is_exact);
  // Somewhat longer than the answer, so that one that goes on is seen.
  const auto own = std::ssize(asked.tokenizer->encode_continuation("stripe"));
  const auto is_said = [&, &said = text](std::int64_t more) {
    return contains(asked.first_line(prompt, own + more), said);
  };
  CHECK(is_said(8));
  CHECK_FALSE(is_said(0));
}

// Weights with which each token of the chain is followed by the next one, whatever stands before.
void teach(ZebraModel& model, const std::vector<std::int32_t>& chain) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->parameters()) {
    if (parameter.dim() > 1) parameter.zero_();
  }
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    const auto unit = static_cast<std::int64_t>(i);
    model->embedding_weight[chain[i]][unit] = 1.0;
    model->output_weight[chain[i + 1]][unit] = 10.0;
  }
}

TEST_CASE("an answer is exact to the byte, up to EOS or the end of its line") {
  Asked asked;
  const auto& tokenizer = *asked.tokenizer;
  const std::string prompt = "zebra stripe\nwindow";
  const auto answer = tokenizer.encode_continuation("global: layer");
  const auto said = [&](std::int32_t last) {
    std::vector<std::int32_t> chain = {tokenizer.encode(prompt).back()};
    chain.insert(chain.end(), answer.begin(), answer.end());
    chain.push_back(last);
    REQUIRE(std::set(chain.begin(), chain.end()).size() == chain.size());
    teach(asked.model, chain);
    return asked.answers({question(prompt, "global: layer")}).front();
  };
  for (const auto end : {tokenizer.eos(), tokenizer.encode("\n").front()}) {
    const auto given = said(end);
    CHECK(given.is_exact);
    CHECK(given.text == "global: layer");
  }
  const auto longer = said(tokenizer.encode_continuation("x").front());
  CHECK_FALSE(longer.is_exact);
  CHECK(longer.text.starts_with("global: layerx"));
}

TEST_CASE("distance counts the tokens from the evidence to the end of the prompt") {
  Asked asked;
  const std::string before = "zebra stripe\n", behind = "global: local\nwindow token\nQuestion: ";
  auto of_evidence = question(before + behind, "a");
  of_evidence.evidence = before.size();
  const auto all = question(before + behind, "a");
  const auto given = asked.answers({of_evidence, all});
  CHECK(given[0].distance == std::ssize(asked.tokenizer->encode(behind)));
  CHECK(given[0].prompt_tokens == std::ssize(asked.tokenizer->encode(before + behind)) + 1);
  CHECK(given[1].distance == given[0].prompt_tokens - 1);
}

TEST_CASE("the interval of a share is Wilson's") {
  // Newcombe 1998 (Statistics in Medicine 17, table I): 81 of 263, 15 of 148, 0 of 20, 29 of 29.
  const auto near = [](double value) { return Approx(value).margin(5e-5); };
  CHECK(exact_share(81, 263).low == near(0.2553));
  CHECK(exact_share(81, 263).high == near(0.3662));
  CHECK(exact_share(15, 148).low == near(0.0624));
  CHECK(exact_share(15, 148).high == near(0.1605));
  CHECK(exact_share(0, 20).low == 0.0);
  CHECK(exact_share(0, 20).high == near(0.1611));
  CHECK(exact_share(29, 29).low == near(0.8830));
  CHECK(exact_share(29, 29).high == 1.0);
}

TEST_CASE("shares stand by distance and kind, beside the best reader without keys") {
  const auto guessed = [](const char* kind, const char* newest, const char* oldest) {
    return Question{"p", "a", kind, {}, {{"newest", newest}, {"oldest", oldest}}};
  };
  const std::vector<Question> questions = {guessed("key", "a", "b"), guessed("key", "a", "a"),
                                           guessed("link", "b", "b"), guessed("link", "b", "a")};
  const std::vector<GivenAnswer> answers = {
      {9, 4, "a", true}, {9, 7, "b", false}, {9, 8, "a", true}, {9, 8, "a", true}};
  const auto json = exact_answers_json(questions, answers);
  CHECK(json["questions"] == 4);
  CHECK(json["exact"] == 0.75);
  CHECK(json["floor"] == 0.5);
  REQUIRE(json["by_distance"].size() == 2);
  const auto& near = json["by_distance"][0];
  CHECK((near["begin"] == 4 && near["end"] == 8 && near["questions"] == 2));
  CHECK((near["exact"] == 0.5 && near["floor"] == 1.0 && near["strategy"] == "newest"));
  const auto& far = json["by_distance"][1];
  CHECK((far["begin"] == 8 && far["exact"] == 1.0 && far["floor"] == 0.5));
  CHECK(far["strategy"] == "oldest");
  CHECK(json["by_kind"][1]["kind"] == "link");
  CHECK(json["answers"][1]["text"] == "b");
  const auto text = exact_answers_text(questions, answers);
  CHECK(text.find("[4, 8)") != std::string::npos);
  CHECK(text.find("link") != std::string::npos);
}

}  // namespace
}  // namespace zebra
