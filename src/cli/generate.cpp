// zebra generate: continues texts.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "checkpoint/model_state.h"
#include "cli/command_line.h"
#include "cli/shared_options.h"
#include "data/utf8.h"
#include "eval/generate.h"
#include "eval/generated_text.h"
#include "eval/prompts.h"

namespace zebra {
namespace {

constexpr std::int64_t kRowsUnlessGiven = 8;
// More texts at a time than any machine has memory for the caches of.
constexpr double kMostRows = 1 << 16;

struct GenerateOptions {
  std::string run_or_checkpoint;
  std::optional<std::string> prompt, prompt_file, prompts;
  std::optional<std::int64_t> batch_size;
  std::vector<std::string> stop_strings;
  SamplingOptions sampling;
};

// What is to be continued: one text, or the lines of a file.
struct GivenPrompts {
  std::string text;
  std::vector<PromptLine> lines;
};

void check_generate_options(const GenerateOptions& options, Problems& problems) {
  if (options.batch_size && !options.prompts)
    problems.add("--batch-size: is of several texts, which --prompts FILE.jsonl gives");
  for (const auto& stop : options.stop_strings) {
    if (stop.empty())
      problems.add("--stop: is empty, which every text begins with; give some text");
    if (!is_valid_utf8(stop))
      problems.add("--stop: is no UTF-8, as all that a model writes is; give whole characters");
  }
}

GivenPrompts read_given_prompts(const GenerateOptions& options, Problems& problems) {
  GivenPrompts given;
  const int count =
      (options.prompt ? 1 : 0) + (options.prompt_file ? 1 : 0) + (options.prompts ? 1 : 0);
  if (count != 1) {
    problems.add(std::string(count == 0 ? "nothing to continue is given"
                                        : "more than one text to continue is given") +
                 ": give one of --prompt TEXT, --prompt-file FILE (- is standard input) and "
                 "--prompts FILE.jsonl");
    return given;
  }
  try {
    if (options.prompt) given.text = *options.prompt;
    if (options.prompt_file) given.text = read_prompt(*options.prompt_file);
    if (options.prompts) given.lines = read_prompts(*options.prompts);
  } catch (const InputError& error) {
    problems.add(error.what());
  }
  return given;
}

std::vector<std::int32_t> prompt_tokens(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<std::int32_t> tokens = {tokenizer.bos()};
  const auto of_text = tokenizer.encode(text);
  tokens.insert(tokens.end(), of_text.begin(), of_text.end());
  return tokens;
}

void warn_of_long_prompts(const std::vector<TextToContinue>& texts, std::int64_t longest) {
  std::int64_t most = 0, count = 0;
  for (const auto& text : texts) {
    const auto length = static_cast<std::int64_t>(text.prompt.size());
    most = std::max(most, length);
    if (length > longest) ++count;
  }
  if (count == 0) return;
  const std::string who = texts.size() == 1
                              ? "the prompt has "
                              : with_commas(count) + " prompts are too long, the longest has ";
  log_warning(who + std::to_string(most) + " tokens, more than the " + std::to_string(longest) +
              " that the model is declared for (model.max_position_embeddings): what it says "
              "beyond them is worth little");
}

// A disk that is full, or a reader that has gone, must not look like a whole result.
void print_result(const std::string& text) {
  std::cout << text << std::flush;
  if (!std::cout) throw RunError("standard output: cannot write what was generated");
}

void continue_text(LoadedModel& loaded, const std::string& prompt, const GenerateOptions& options) {
  const std::vector<TextToContinue> texts = {
      {prompt_tokens(loaded.tokenizer, prompt), options.sampling.seed}};
  warn_of_long_prompts(texts, loaded.config.model.max_position_embeddings);
  const RawOutput raw(std::cout);
  print_result(prompt);
  GeneratedText text(loaded.tokenizer, texts.front().prompt, options.stop_strings);
  continue_texts(loaded.model, texts, 1, options.sampling,
                 {.on_token =
                      [&](std::size_t, std::int32_t token) {
                        print_result(text.add(token));
                        return text.stopped();
                      },
                  .on_end = [](std::size_t, FinishReason) {}});
  print_result(text.finish() + "\n");
}

// Writes the lines with their answers, in order, each as soon as it and all before it are there.
class AnsweredLines {
 public:
  AnsweredLines(const Tokenizer& tokenizer, const std::vector<PromptLine>& lines,
                const std::vector<TextToContinue>& texts,
                const std::vector<std::string>& stop_strings)
      : tokenizer_(tokenizer), lines_(lines), texts_(texts), stop_strings_(stop_strings) {
    // Beside lines on a terminal a bar would be in their way.
    if (::isatty(STDOUT_FILENO) != 1) bar_.emplace("generating", lines.size(), "texts");
  }

  TextListener listener() {
    return {.on_token =
                [this](std::size_t number, std::int32_t token) {
                  auto& writing = writing_of(number);
                  writing.answer.completion += writing.text.add(token);
                  ++writing.answer.completion_tokens;
                  ++tokens_;
                  if (bar_) bar_->update(ended_, token_count());
                  return writing.text.stopped();
                },
            .on_end = [this](std::size_t number, FinishReason reason) { end(number, reason); }};
  }

  void finish() {
    if (bar_) bar_->finish(ended_, token_count());
  }

 private:
  struct Writing {
    GeneratedText text;
    PromptAnswer answer;
  };

  Writing& writing_of(std::size_t number) {
    const auto found = writing_.find(number);
    if (found != writing_.end()) return found->second;
    const auto& prompt = texts_[number].prompt;
    PromptAnswer answer;
    answer.prompt_tokens = static_cast<std::int64_t>(prompt.size());
    return writing_
        .emplace(number, Writing{GeneratedText(tokenizer_, prompt, stop_strings_), answer})
        .first->second;
  }

  void end(std::size_t number, FinishReason reason) {
    auto& [text, answer] = writing_of(number);
    answer.completion += text.finish();
    answer.finish_reason = name_of(reason);
    waiting_.emplace(number, answered_line(lines_[number], answer));
    writing_.erase(number);
    ++ended_;
    for (; waiting_.contains(printed_); ++printed_) {
      print_result(waiting_.at(printed_));
      waiting_.erase(printed_);
    }
  }

  std::string token_count() const { return with_suffix(static_cast<double>(tokens_)) + " tokens"; }

  const Tokenizer& tokenizer_;
  const std::vector<PromptLine>& lines_;
  const std::vector<TextToContinue>& texts_;
  const std::vector<std::string>& stop_strings_;
  std::optional<ProgressBar> bar_;
  std::map<std::size_t, Writing> writing_;
  std::map<std::size_t, std::string> waiting_;  // for those before them
  std::size_t printed_ = 0;
  std::uint64_t ended_ = 0, tokens_ = 0;
};

void continue_lines(LoadedModel& loaded, const std::vector<PromptLine>& lines,
                    const GenerateOptions& options) {
  std::vector<TextToContinue> texts;
  for (const auto& line : lines) {
    texts.push_back(
        {prompt_tokens(loaded.tokenizer, line.prompt), line.seed.value_or(options.sampling.seed)});
  }
  warn_of_long_prompts(texts, loaded.config.model.max_position_embeddings);
  const RawOutput raw(std::cout);
  AnsweredLines answers(loaded.tokenizer, lines, texts, options.stop_strings);
  const auto rows = options.batch_size.value_or(kRowsUnlessGiven);
  continue_texts(loaded.model, texts, static_cast<std::size_t>(rows), options.sampling,
                 answers.listener());
  answers.finish();
}

void run_generate(GenerateOptions options) {
  Problems problems;
  check_generate_options(options, problems);
  const auto given = read_given_prompts(options, problems);
  problems.throw_if_any();
  auto loaded = load_model(options.run_or_checkpoint);
  options.sampling.stop_token = loaded.tokenizer.eos();
  if (options.prompts) {
    continue_lines(loaded, given.lines, options);
  } else {
    continue_text(loaded, given.text, options);
  }
}

void add_prompt_options(CLI::App& command, GenerateOptions& options) {
  const auto add = [&](const std::string& name, std::optional<std::string>& value,
                       const std::string& type_name, const std::string& help) {
    // An empty text is a text: CLI11 would take it for none.
    command
        .add_option_function<std::string>(
            name, [&value](const std::string& given) { value = given; }, help)
        ->type_name(type_name);
  };
  add("--prompt", options.prompt, "TEXT", "Text to continue");
  add("--prompt-file", options.prompt_file, "FILE",
      "File with the text to continue, - for standard input; one line end at its end is left out");
  add("--prompts", options.prompts, "FILE.jsonl",
      "Several texts: a JSON object a line with \"prompt\", perhaps a \"seed\" of its own, and "
      "fields that are kept; - for standard input. Prints the same lines, in order, with "
      "\"completion\", \"finish_reason\" (stop or length), \"prompt_tokens\" and "
      "\"completion_tokens\"");
  add_number(command, "--batch-size", &options.batch_size, between(1, kMostRows),
             "Texts of --prompts that are continued at a time; default: " +
                 std::to_string(kRowsUnlessGiven));
}

void add_sampling_options(CLI::App& command, GenerateOptions& options) {
  auto& sampling = options.sampling;
  add_number(command, "--max-new-tokens", &sampling.max_new_tokens, at_least(1),
             "Stop after so many tokens");
  command
      .add_option("--stop", options.stop_strings,
                  "End before this text (repeatable; in bash $'\\n' is a line end)")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  add_number(command, "--temperature", &sampling.temperature, at_least(0),
             "0: always the likeliest token", "T");
  add_number(command, "--top-k", &sampling.top_k, at_least(0),
             "Sample from so many of the likeliest tokens; 0: from all");
  add_number(command, "--top-p", &sampling.top_p, between(0, 1),
             "Of these sample from the fewest that reach this share of their probability", "P");
  add_number(command, "--repetition-penalty", &sampling.repetition_penalty, above(0),
             "Divide positive logits of tokens that the text holds already by this, multiply "
             "negative ones; 1: none",
             "FACTOR");
  add_number(command, "--seed", &sampling.seed, anything(),
             "The same seed gives the same text to the same prompt");
}

}  // namespace

void add_generate_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("generate", "Continue a text, or several");
  const auto options = std::make_shared<GenerateOptions>();
  add_checkpoint_argument(*command, options->run_or_checkpoint);
  add_prompt_options(*command, *options);
  add_sampling_options(*command, *options);
  command->footer(
      "Examples: zebra generate runs/tiny --prompt 'def main' --temperature 0.7\n"
      "          zebra generate runs/tiny --prompts prompts.jsonl --stop '.' > answers.jsonl");
  command->callback([options] { run_generate(*options); });
}

}  // namespace zebra
