#include "eval/generate.h"

#include <cmath>

#include <set>

#include "base/error.h"
#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// Float32 rounding of the two ways may swap tokens whose logits are nearer than this.
constexpr float kTie = 1e-4F;

TEST_CASE("greedy output with the cache equals that of the whole prefix each time") {
  const auto pattern = GENERATE(as<std::string>{}, "GG", "LL", "GLLL", "LLG");
  ZebraModel model(small_model(pattern, 4));
  model->initialize(21);
  {
    const torch::NoGradGuard no_grad;  // larger weights than at the start: logits that differ
    for (auto& parameter : model->parameters()) parameter.mul_(parameter.dim() > 1 ? 8.0 : 1.0);
  }
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

TEST_CASE("sampling follows the probabilities, cut at top_p") {
  const auto logits = torch::log(torch::tensor({0.1F, 0.6F, 0.3F}));
  REQUIRE(sample_token(logits, 0.0, 1.0, 0.99) == 1);
  REQUIRE(sample_token(logits, 1.0, 1.0, 0.59) == 1);
  REQUIRE(sample_token(logits, 1.0, 1.0, 0.61) == 2);
  REQUIRE(sample_token(logits, 1.0, 1.0, 0.91) == 0);
  REQUIRE(sample_token(logits, 1.0, 0.5, 0.999) == 1);
  REQUIRE(sample_token(logits, 1.0, 0.7, 0.999) == 2);  // 0.6 + 0.3, renormalised
  REQUIRE(sample_token(logits, 1.0, 0.0, 0.999) == 1);
  REQUIRE(sample_token(logits, 0.25, 1.0, 0.93) == 1);    // sharper: 0.6^4 against 0.3^4 and 0.1^4
  REQUIRE(sample_token(logits, 1e-310, 1.0, 0.99) == 1);  // a quotient beyond all numbers
}

TEST_CASE("nothing is sampled from logits that are not finite") {
  for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    for (const double temperature : {0.0, 1.0})
      REQUIRE_THROWS_AS(sample_token(torch::tensor({0.1F, value, 0.3F}), temperature, 1.0, 0.5),
                        RunError);
  }
}

}  // namespace
}  // namespace zebra
