#include "eval/exact_answers.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "eval/generate.h"
#include "eval/generated_text.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

// More tokens than the answer's own: other tokens may spell it, and a longer answer must show.
constexpr std::int64_t kFurtherTokens = 4;

constexpr double kNormal95 = 1.959963984540054;  // 97.5 % of a normal distribution lie below

std::string first_line(const std::string& text) {
  constexpr const char* kSpaces = " \t\r";
  const auto line = text.substr(0, text.find('\n'));
  const auto begin = line.find_first_not_of(kSpaces);
  if (begin == std::string::npos) return "";
  return line.substr(begin, line.find_last_not_of(kSpaces) + 1 - begin);
}

std::vector<std::int32_t> prompt_tokens(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::int32_t> tokens = {tokenizer.bos()};
  for (const auto token : tokenizer.encode(text)) tokens.push_back(token);
  return tokens;
}

std::int64_t distance_in(const Question& question, const std::vector<std::int32_t>& prompt,
                         const Tokenizer& tokenizer) {
  const auto before = std::string_view(question.prompt).substr(0, question.evidence.value_or(0));
  const auto begin = prompt_tokens(tokenizer, before).size();
  return std::max<std::int64_t>(1, std::ssize(prompt) - static_cast<std::int64_t>(begin));
}

GivenAnswer answer(ZebraModel& model, const Tokenizer& tokenizer, const Question& question) {
  const auto prompt = prompt_tokens(tokenizer, question.prompt);
  const auto longest = std::ssize(tokenizer.encode_continuation(question.answer)) + kFurtherTokens;
  const auto tokens =
      generate(model, prompt,
               {.max_new_tokens = longest, .temperature = 0.0, .stop_token = tokenizer.eos()});
  GeneratedText continuation(tokenizer, prompt);
  std::string text;
  for (const auto token : tokens) text += continuation.add(token);
  text = first_line(text + continuation.finish());
  const bool is_exact = text == question.answer;
  return {std::ssize(prompt), distance_in(question, prompt, tokenizer), std::move(text), is_exact};
}

// Counts of one group of questions.
struct Tally {
  std::int64_t questions = 0, exact = 0;
  std::map<std::string, std::int64_t> guessed;  // by strategy

  void add(const Question& question, const GivenAnswer& given) {
    ++questions;
    exact += given.is_exact ? 1 : 0;
    for (const auto& [strategy, guess] : question.guesses)
      guessed[strategy] += guess == question.answer ? 1 : 0;
  }

  // Of the best strategy; nothing where there is none.
  const std::pair<const std::string, std::int64_t>* floor() const {
    const auto best =
        std::ranges::max_element(guessed, {}, [](const auto& of) { return of.second; });
    return best == guessed.end() ? nullptr : &*best;
  }

  double share_of(std::int64_t count) const {
    return static_cast<double>(count) / static_cast<double>(questions);
  }
};

// Groups by the exponent of a power of two that a distance reaches, and by kind.
struct Tallies {
  std::map<int, Tally> by_distance;
  std::map<std::string, Tally> by_kind;
  Tally all;

  Tallies(const std::vector<Question>& questions, const std::vector<GivenAnswer>& answers) {
    for (std::size_t i = 0; i < questions.size(); ++i) {
      const auto distance = static_cast<std::uint64_t>(answers[i].distance);
      const auto octave = static_cast<int>(std::bit_width(distance)) - 1;
      for (auto* tally : {&all, &by_distance[octave], &by_kind[questions[i].kind]})
        tally->add(questions[i], answers[i]);
    }
  }
};

std::int64_t first_of(int octave) { return std::int64_t{1} << octave; }

std::vector<std::string> row_of(const std::string& name, const Tally& tally) {
  const auto [share, low, high] = exact_share(tally.exact, tally.questions);
  const auto* floor = tally.floor();
  return {name,
          with_commas(tally.questions),
          fixed(share, 3),
          fixed(low, 3) + " to " + fixed(high, 3),
          floor ? fixed(tally.share_of(floor->second), 3) : "-",
          floor ? floor->first : ""};
}

void add_figures(Json& json, const Tally& tally) {
  const auto [share, low, high] = exact_share(tally.exact, tally.questions);
  json["questions"] = tally.questions;
  json["exact"] = share;
  json["low"] = low;
  json["high"] = high;
  const auto* floor = tally.floor();
  if (floor == nullptr) return;
  json["floor"] = tally.share_of(floor->second);
  json["strategy"] = floor->first;
}

}  // namespace

ExactShare exact_share(std::int64_t exact, std::int64_t questions) {
  const double n = static_cast<double>(questions), share = static_cast<double>(exact) / n;
  const double z2 = kNormal95 * kNormal95;
  const double middle = (share + z2 / (2 * n)) / (1 + z2 / n);
  const double half =
      kNormal95 / (1 + z2 / n) * std::sqrt(share * (1 - share) / n + z2 / (4 * n * n));
  return {share, std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

std::vector<GivenAnswer> answer_questions(
    ZebraModel& model, const Tokenizer& tokenizer, const std::vector<Question>& questions,
    const std::function<void(std::int64_t done, std::int64_t total)>& progress) {
  std::vector<GivenAnswer> answers;
  for (const auto& question : questions) {
    answers.push_back(answer(model, tokenizer, question));
    if (progress) progress(std::ssize(answers), std::ssize(questions));
  }
  return answers;
}

std::string exact_answers_text(const std::vector<Question>& questions,
                               const std::vector<GivenAnswer>& answers) {
  const Tallies tallies(questions, answers);
  std::vector<std::vector<std::string>> rows = {
      {"distance", "questions", "exact", "95 % interval", "floor", "of a reader without keys"}};
  for (const auto& [octave, tally] : tallies.by_distance) {
    const auto range =
        "[" + std::to_string(first_of(octave)) + ", " + std::to_string(first_of(octave + 1)) + ")";
    rows.push_back(row_of(range, tally));
  }
  rows.push_back(row_of("all", tallies.all));
  std::string text = text_table(rows, "lrrrrl");
  if (tallies.by_kind.size() < 2) return text;
  rows = {{"kind", "questions", "exact", "95 % interval", "floor", "of a reader without keys"}};
  for (const auto& [kind, tally] : tallies.by_kind)
    rows.push_back(row_of(kind.empty() ? "-" : kind, tally));
  return text + "\n" + text_table(rows, "lrrrrl");
}

Json exact_answers_json(const std::vector<Question>& questions,
                        const std::vector<GivenAnswer>& answers) {
  const Tallies tallies(questions, answers);
  Json json;
  add_figures(json, tallies.all);
  json["by_distance"] = Json::array();
  for (const auto& [octave, tally] : tallies.by_distance) {
    Json& row = json["by_distance"].emplace_back();
    row["begin"] = first_of(octave);
    row["end"] = first_of(octave + 1);
    add_figures(row, tally);
  }
  json["by_kind"] = Json::array();
  for (const auto& [kind, tally] : tallies.by_kind) {
    Json& row = json["by_kind"].emplace_back();
    row["kind"] = kind;
    add_figures(row, tally);
  }
  json["answers"] = Json::array();
  for (std::size_t i = 0; i < questions.size(); ++i) {
    Json& row = json["answers"].emplace_back();
    row["kind"] = questions[i].kind;
    row["distance"] = answers[i].distance;
    row["exact"] = answers[i].is_exact;
    row["text"] = answers[i].text;
  }
  return json;
}

}  // namespace zebra
