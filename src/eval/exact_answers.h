#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "eval/questions.h"
#include "model/zebra_model.h"

namespace zebra {

/// What a model answered to a question.
struct GivenAnswer {
  std::int64_t prompt_tokens;
  std::int64_t distance;  ///< tokens from where the evidence begins to the end of the prompt; all
                          ///< of the prompt where the question does not say; 1 or more
  std::string text;       ///< up to EOS or the end of the line, without white space around it
  bool is_exact;          ///< equal to the answer, to the byte
};

/// The likeliest continuations of the prompts, token by token, in their order. `progress` hears of
/// questions; it may be empty. Throws RunError where the model predicts no finite numbers.
std::vector<GivenAnswer> answer_questions(
    ZebraModel& model, const Tokenizer& tokenizer, const std::vector<Question>& questions,
    const std::function<void(std::int64_t done, std::int64_t total)>& progress = {});

/// A share of successes and the interval that holds the true one in 95 of 100 cases (Wilson's,
/// which holds at 0 and 1 too).
struct ExactShare {
  double share, low, high;
};
ExactShare exact_share(std::int64_t exact, std::int64_t questions);

/// Shares of exact answers, beside the best of the key-blind strategies: by distance in ranges
/// [1, 2), [2, 4), [4, 8), …, and by kind. A table for people, and a document that also holds every
/// answer.
std::string exact_answers_text(const std::vector<Question>& questions,
                               const std::vector<GivenAnswer>& answers);
nlohmann::ordered_json exact_answers_json(const std::vector<Question>& questions,
                                          const std::vector<GivenAnswer>& answers);

}  // namespace zebra
