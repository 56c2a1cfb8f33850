#include "eval/generate.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// Float32 rounding of the two ways may swap tokens whose logits are nearer than this.
constexpr float kTie = 1e-4F;

// A model whose logits differ by more than rounding does.
ZebraModel decided_model(const std::string& pattern) {
  ZebraModel model(small_model(pattern, 4));
  model->initialize(21);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->parameters()) parameter.mul_(parameter.dim() > 1 ? 8.0 : 1.0);
  return model;
}

TEST_CASE("greedy output with the cache equals that of the whole prefix each time") {
  const auto pattern = GENERATE(as<std::string>{}, "GG", "LL", "GLLL", "LLG");
  auto model = decided_model(pattern);
  const std::vector<std::int32_t> prompt = {1, 7, 30};
  const auto generated = generate(model, prompt, {.max_new_tokens = 60, .temperature = 0.0});
  REQUIRE(generated.size() == 60);
  const torch::NoGradGuard no_grad;
  std::vector<std::int64_t> text(prompt.begin(), prompt.end());
  for (const auto token : generated) {
    const auto logits =
        model->logits(model->forward(torch::tensor(text, torch::kInt64).unsqueeze(0)))[0][-1];
    const auto [values, indices] = logits.topk(2);
    if ((values[0] - values[1]).item<float>() >= kTie)
      REQUIRE(token == indices[0].item<std::int64_t>());
    text.push_back(token);
  }
}

TEST_CASE("the same seed gives the same text, another seed another") {
  ZebraModel model(small_model());
  model->initialize(1);
  const auto with_seed = [&](std::int64_t seed) {
    return generate(model, {1},
                    {.max_new_tokens = 30, .temperature = 1.0, .top_p = 1.0, .seed = seed});
  };
  REQUIRE(with_seed(5) == with_seed(5));
  REQUIRE(with_seed(5) != with_seed(6));
}

TEST_CASE("generation ends at the stop token") {
  ZebraModel model(small_model());
  model->initialize(1);
  const auto free_run = generate(model, {1}, {.max_new_tokens = 30, .temperature = 1.0, .seed = 5});
  std::vector<std::int32_t> heard;
  const auto stopped = generate(
      model, {1}, {.max_new_tokens = 30, .temperature = 1.0, .seed = 5, .stop_token = free_run[9]},
      [&](std::int32_t token) { heard.push_back(token); });
  const auto first = std::find(free_run.begin(), free_run.end(), free_run[9]);
  REQUIRE(stopped == std::vector<std::int32_t>(free_run.begin(), first));
  REQUIRE(heard == stopped);
}

// The tokens of each text, and why it ended, in whatever order that is heard.
struct Heard {
  std::vector<std::vector<std::int32_t>> tokens;
  std::vector<std::string> reasons;
  std::vector<std::size_t> ended;  // in the order of their ends
};

Heard continued(ZebraModel& model, const std::vector<TextToContinue>& texts, std::size_t rows,
                const SamplingOptions& options,
                const std::function<bool(std::int32_t)>& ends_text = {}) {
  Heard heard{std::vector<std::vector<std::int32_t>>(texts.size()),
              std::vector<std::string>(texts.size()),
              {}};
  continue_texts(model, texts, rows, options,
                 {.on_token =
                      [&](std::size_t text, std::int32_t token) {
                        heard.tokens[text].push_back(token);
                        return ends_text && ends_text(token);
                      },
                  .on_end =
                      [&](std::size_t text, FinishReason reason) {
                        heard.reasons[text] += name_of(reason);
                        heard.ended.push_back(text);
                      }});
  return heard;
}

const std::vector<TextToContinue> kTexts = {{{1, 7, 30}, 5},
                                            {{1}, 6},
                                            {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 5},
                                            {{1, 7, 30}, 6},
                                            {{1, 50, 51}, 9}};

TEST_CASE("a text is the same alone and beside any others, of whatever lengths") {
  auto model = decided_model(GENERATE(as<std::string>{}, "GG", "LL", "GLLL"));
  const double temperature = GENERATE(0.0, 1.0);
  const SamplingOptions options = {.max_new_tokens = 25,
                                   .temperature = temperature,
                                   .top_p = 0.9,
                                   .repetition_penalty = 1.1,
                                   .stop_token = 17};
  std::vector<std::vector<std::int32_t>> alone;
  for (const auto& [prompt, seed] : kTexts) {
    auto own = options;
    own.seed = seed;
    alone.push_back(generate(model, prompt, own));
  }
  if (temperature > 0.0) REQUIRE(alone[0] != alone[3]);  // another seed
  for (const std::size_t rows : {1U, 2U, 3U, 5U, 8U}) {
    INFO(rows);
    const auto heard = continued(model, kTexts, rows, options);
    REQUIRE(heard.tokens == alone);
    for (std::size_t i = 0; i < alone.size(); ++i)
      REQUIRE(heard.reasons[i] == (alone[i].size() == 25 ? "length" : "stop"));
  }
}

TEST_CASE("what is in other rows changes no bit of a text") {
  auto model = decided_model("GLL");
  model->to(torch::kBFloat16);  // in which tokens often tie
  const SamplingOptions options = {.max_new_tokens = 20, .temperature = 1.0};
  const auto all = continued(model, kTexts, kTexts.size(), options);
  const std::vector<std::int32_t> other_prompt = {1, 40, 41, 42};
  for (std::size_t i = 0; i < kTexts.size(); ++i) {
    INFO(i);
    std::vector<TextToContinue> others(kTexts.size(), {other_prompt, 77});
    others[i] = kTexts[i];
    REQUIRE(continued(model, others, kTexts.size(), options).tokens[i] == all.tokens[i]);
    // And beside rows without a text: behind it from the start, before it from the second token.
    others.resize(i + 1);
    std::size_t heard = 0;
    const auto ends_others = [&](std::int32_t) { return ++heard > i + 1 && heard <= 2 * i + 1; };
    REQUIRE(continued(model, others, kTexts.size(), options, ends_others).tokens[i] ==
            all.tokens[i]);
  }
}

TEST_CASE("the next text begins where one has ended") {
  auto model = decided_model("GL");
  const SamplingOptions options = {.max_new_tokens = 12, .temperature = 0.0};
  const auto whole = continued(model, kTexts, 2, options);
  REQUIRE(whole.ended == std::vector<std::size_t>{0, 1, 2, 3, 4});
  // The second ends with its first token, for what was asked for: so does whoever begins so.
  const auto first = whole.tokens[1][0];
  const auto heard =
      continued(model, kTexts, 2, options, [&](std::int32_t token) { return token == first; });
  for (std::size_t i = 0; i < kTexts.size(); ++i) {
    const auto& expected = whole.tokens[i];
    const auto end = std::ranges::find(expected, first);
    const bool is_cut = end != expected.end();
    REQUIRE(heard.tokens[i] == std::vector<std::int32_t>(expected.begin(), is_cut ? end + 1 : end));
    REQUIRE(heard.reasons[i] == (is_cut ? "stop" : "length"));
  }
  REQUIRE(heard.ended.front() == (whole.tokens[0][0] == first ? 0 : 1));
  REQUIRE(continued(model, {}, 2, options).ended.empty());
}

}  // namespace
}  // namespace zebra
