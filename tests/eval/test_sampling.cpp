#include "eval/sampling.h"

#include <cmath>
#include <vector>

#include "base/error.h"
#include "support/tensors.h"

namespace zebra {
namespace {

TEST_CASE("sampling follows the probabilities, cut at top_p") {
  const auto logits = torch::log(torch::tensor({0.1F, 0.6F, 0.3F}));
  REQUIRE(sample_token(logits, {.temperature = 0.0, .top_p = 1.0}, 0.99) == 1);
  REQUIRE(sample_token(logits, {.temperature = 1.0, .top_p = 1.0}, 0.59) == 1);
  REQUIRE(sample_token(logits, {.temperature = 1.0, .top_p = 1.0}, 0.61) == 2);
  REQUIRE(sample_token(logits, {.temperature = 1.0, .top_p = 1.0}, 0.91) == 0);
  REQUIRE(sample_token(logits, {.temperature = 1.0, .top_p = 0.5}, 0.999) == 1);
  REQUIRE(sample_token(logits, {.temperature = 1.0, .top_p = 0.7}, 0.999) ==
          2);  // 0.6 + 0.3, renormalised
  REQUIRE(sample_token(logits, {.temperature = 1.0, .top_p = 0.0}, 0.999) == 1);
  REQUIRE(sample_token(logits, {.temperature = 0.25, .top_p = 1.0}, 0.93) ==
          1);  // sharper: 0.6^4 against 0.3^4 and 0.1^4
  REQUIRE(sample_token(logits, {.temperature = 1e-310, .top_p = 1.0}, 0.99) ==
          1);  // a quotient beyond all numbers
}

TEST_CASE("of the likeliest top_k tokens those are kept that reach top_p of their sum") {
  const auto logits = torch::log(torch::tensor({0.1F, 0.4F, 0.3F, 0.2F}));
  const auto last = [&](std::int64_t top_k, double top_p) {
    return sample_token(logits, {.temperature = 1.0, .top_k = top_k, .top_p = top_p}, 0.9999);
  };
  REQUIRE(last(0, 1.0) == 0);
  REQUIRE(last(9, 1.0) == 0);
  REQUIRE(last(3, 1.0) == 3);
  REQUIRE(last(2, 1.0) == 2);
  REQUIRE(last(1, 1.0) == 1);
  // 0.4 is 0.57 of the two likeliest, and not half of all.
  REQUIRE(last(2, 0.5) == 1);
  REQUIRE(last(0, 0.5) == 2);
  // Of two that tie the first is the likelier.
  const auto ties = torch::zeros({5});
  REQUIRE(sample_token(ties, {.temperature = 1.0, .top_k = 2, .top_p = 1.0}, 0.9999) == 1);
  // Shares of the two: 0.4 / 0.7 and 0.3 / 0.7.
  REQUIRE(sample_token(logits, {.temperature = 1.0, .top_k = 2, .top_p = 1.0}, 0.57) == 1);
  REQUIRE(sample_token(logits, {.temperature = 1.0, .top_k = 2, .top_p = 1.0}, 0.58) == 2);
}

TEST_CASE("a repeated token loses by the penalty, once however often it is there") {
  const auto logits = torch::tensor({2.0F, 1.9F, -1.0F, -1.1F});
  const auto chosen = [&](double penalty, const std::vector<std::int32_t>& text) {
    return sample_token(logits, {.temperature = 0.0, .repetition_penalty = penalty}, 0.5, text);
  };
  REQUIRE(chosen(1.0, {0, 0}) == 0);
  REQUIRE(chosen(1.04, {0, 0, 0}) == 0);  // 2 / 1.04 = 1.923
  REQUIRE(chosen(1.06, {0}) == 1);        // 1.887
  REQUIRE(chosen(1.06, {1, 0}) == 0);
  REQUIRE(chosen(0.9, {1}) == 1);  // below 1 repetition is favoured
  // The logits of whoever asks stay what they are, and negative ones fall as well.
  REQUIRE(logits[0].item<float>() == 2.0F);
  const auto negative = torch::tensor({-1.0F, -1.1F});
  REQUIRE(sample_token(negative, {.temperature = 0.0, .repetition_penalty = 1.2}, 0.5,
                       std::vector<std::int32_t>{0}) == 1);
  // Before the temperature: 2 / 2 / 0.5 against 1.9 / 0.5.
  const double first = 1.0 / (1.0 + std::exp(3.8 - 2.0));
  const auto drawn = [&](double uniform) {
    return sample_token(logits.slice(0, 0, 2),
                        {.temperature = 0.5, .top_p = 1.0, .repetition_penalty = 2.0}, uniform,
                        std::vector<std::int32_t>{0});
  };
  REQUIRE(drawn(1.0 - first - 1e-6) == 1);
  REQUIRE(drawn(1.0 - first + 1e-6) == 0);
}

TEST_CASE("nothing is sampled from logits that are not finite") {
  for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    for (const double temperature : {0.0, 1.0})
      REQUIRE_THROWS_AS(sample_token(torch::tensor({0.1F, value, 0.3F}),
                                     {.temperature = temperature, .top_p = 1.0}, 0.5),
                        RunError);
  }
}

}  // namespace
}  // namespace zebra
