// zebra eval and recall: what a trained model predicts.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "checkpoint/folder.h"
#include "checkpoint/model_state.h"
#include "cli/command_line.h"
#include "cli/shared_options.h"
#include "config/names.h"
#include "data/input_stream.h"
#include "data/tokenized_documents.h"
#include "data/training_data.h"
#include "eval/exact_answers.h"
#include "eval/perplexity.h"
#include "eval/recall.h"

namespace zebra {
namespace {

struct EvalOptions {
  std::string run_or_checkpoint;
  std::string data, text;
  DocumentReaderOptions documents;  // of the text
  std::vector<std::int64_t> lengths;
  std::int64_t max_tokens = 0;
  std::string answers;
  std::string json;
};

// From this size on reading a text is worth a bar.
constexpr std::uint64_t kBytesOfLongText = std::uint64_t{16} << 20;

struct EvaluationData {
  TokenDatasets datasets;
  std::vector<double> weights;  // none where the run gives none
};

Perplexity evaluate_length(LoadedModel& loaded, const EvaluationData& data, std::int64_t length,
                           std::int64_t max_tokens) {
  ProgressBars bars("tokens");
  return evaluate_perplexity(loaded.model, loaded.tokenizer, data.datasets,
                             {length, max_tokens, loaded.config.data.document_mask, data.weights,
                              [&](std::int64_t done, std::int64_t total) {
                                bars.update("length " + std::to_string(length),
                                            static_cast<std::uint64_t>(done),
                                            static_cast<std::uint64_t>(total));
                              }});
}

// Of the text: what is not evaluated as it stands there.
void tell_of_text(const std::string& name, const TokenizedInput& read) {
  const auto& skipped = read.skipped;
  const auto tell = [&](std::int64_t count, const std::string& what) {
    if (count > 0) log_warning(name + ": " + with_commas(count) + what);
  };
  tell(skipped.bad_lines, " bad lines were left out");
  tell(skipped.binary_files, " files that are no text were left out");
  tell(skipped.linked_files, " files below linked folders were left out");
  tell(read.invalid_utf8_documents, " documents hold bytes that are no UTF-8; they became U+FFFD");
}

EvaluationData read_text(const EvalOptions& options, const Tokenizer& tokenizer) {
  const auto name = input_name(options.text);
  auto input = options.documents;
  input.inputs = {options.text};
  ProgressBars bars("bytes", kBytesOfLongText);
  auto read = tokenize_documents(input, tokenizer, [&](std::uint64_t done, std::uint64_t total) {
    bars.update("reading " + name, done, total);
  });
  tell_of_text(name, read);
  EvaluationData data;
  data.datasets.push_back(std::make_unique<TokenDataset>(name, std::move(read.documents)));
  return data;
}

void warn_of_long_prompts(const LoadedModel& loaded, const std::vector<GivenAnswer>& answers) {
  const auto longest = loaded.config.model.max_position_embeddings;
  const auto count = std::ranges::count_if(
      answers, [&](const GivenAnswer& answer) { return answer.prompt_tokens > longest; });
  if (count == 0) return;
  log_warning(with_commas(count) + " prompts have more than the " + std::to_string(longest) +
              " tokens that the model is declared for (model.max_position_embeddings)");
}

void run_answers(const EvalOptions& options) {
  Problems problems;
  check_output_path(options.json, "\"by_distance\"", problems);
  problems.throw_if_any();
  const auto questions = read_questions(options.answers);
  auto loaded = load_model(options.run_or_checkpoint);
  std::vector<GivenAnswer> answers;
  {
    ProgressBars bars("questions");
    answers = answer_questions(loaded.model, loaded.tokenizer, questions,
                               [&](std::int64_t done, std::int64_t total) {
                                 bars.update("answers", static_cast<std::uint64_t>(done),
                                             static_cast<std::uint64_t>(total));
                               });
  }
  warn_of_long_prompts(loaded, answers);
  std::cout << exact_answers_text(questions, answers) << std::flush;
  if (!options.json.empty()) write_json(options.json, exact_answers_json(questions, answers));
}

EvaluationData open_data(const EvalOptions& options, const LoadedModel& loaded) {
  std::vector<DataSource> sources = loaded.config.data.validation;
  if (!options.data.empty()) sources = {{options.data, std::nullopt}};
  if (sources.empty()) {
    throw InputError(options.run_or_checkpoint +
                     ": its run has no data.validation; name a dataset with --data DIR, or a text "
                     "with --text FILE");
  }
  return {open_datasets(sources, loaded.tokenizer, loaded.config.model.vocab_size),
          given_weights(sources)};
}

// Before the model is loaded.
void check_eval_options(const EvalOptions& options) {
  Problems problems;
  check_output_path(options.json, "\"perplexity\"", problems);
  if (!options.data.empty() && !options.text.empty())
    problems.add("--data and --text: one evaluation is of one of them; give either");
  try {
    if (!options.text.empty()) list_input_files({options.text}, {});
  } catch (const InputError& error) {
    problems.add(error.what());
  }
  problems.throw_if_any();
}

void run_eval(EvalOptions options) {
  if (!options.answers.empty()) return run_answers(options);
  check_eval_options(options);
  auto loaded = load_model(options.run_or_checkpoint);
  const EvaluationData data =
      options.text.empty() ? open_data(options, loaded) : read_text(options, loaded.tokenizer);
  if (options.lengths.empty()) options.lengths = {loaded.config.data.sequence_length};
  std::sort(options.lengths.begin(), options.lengths.end());

  std::vector<Perplexity> results;
  for (const auto length : options.lengths) {
    results.push_back(evaluate_length(loaded, data, length, options.max_tokens));
  }
  std::cout << perplexity_text(results) << std::flush;
  if (!options.json.empty()) write_json(options.json, perplexity_json(results));
  require_finite(results);
}

}  // namespace

void add_eval_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "eval", "Perplexity by context length and by position, or exact answers by distance");
  const auto options = std::make_shared<EvalOptions>();
  add_checkpoint_argument(*command, options->run_or_checkpoint);
  auto* const data =
      command
          ->add_option("--data", options->data, "Token dataset; default: the run's validation data")
          ->type_name("DIR");
  auto* const text = command
                         ->add_option("--text", options->text,
                                      "Text in the place of a dataset: a file is one document, a "
                                      "line of JSONL is one; plain, gzip or Zstandard, - is "
                                      "standard input")
                         ->type_name("FILE");
  auto* const lengths = add_number(*command, "--lengths", &options->lengths, at_least(1),
                                   "Context lengths; default: the run's sequence length", "N,N,…");
  auto* const max_tokens =
      add_number(*command, "--max-tokens", &options->max_tokens, at_least(1),
                 "Predict at most so many tokens, in whole windows; default: all");
  command
      ->add_option("--answers", options->answers,
                   "Instead of perplexity: how many of these questions (JSONL of \"prompt\" and "
                   "\"completion\", as scripts/synthetic_qa.py writes) the model answers exactly, "
                   "by distance")
      ->type_name("FILE")
      ->excludes(data)
      ->excludes(text)
      ->excludes(lengths)
      ->excludes(max_tokens);
  command->add_option("--json", options->json, "Write the figures to this file too")
      ->type_name("FILE");
  for (auto* option : add_document_options(*command, options->documents))
    option->needs(text)->group("Options of --text");
  command->footer(
      "Examples: zebra eval runs/tiny --lengths 64,128 --json eval.json\n"
      "          zebra eval runs/tiny --text notes.txt\n"
      "          zebra eval runs/tiny --answers questions.jsonl");
  command->callback([options] { run_eval(*options); });
}

namespace {

struct RecallCommand {
  std::string run_or_checkpoint;
  std::int64_t window = 0, layers = 0;
  std::vector<std::string> tasks = names_of<ProbeTask>();
  RecallOptions recall;
  bool earlier = false;
  std::string json;
};

// Of the checkpoints before `step` that the run keeps whatever happens to it: those that it saved
// when it was stopped, and what they pushed out, must not change a study's figures.
std::vector<EarlierRecall> evaluate_earlier(const std::string& run, std::int64_t step,
                                            const CheckpointSection& kept,
                                            const RecallOptions& options) {
  if (kept.keep_every == 0) {
    throw InputError(run +
                     ": --earlier asks at the checkpoints that checkpoint.keep_every keeps, and "
                     "the run does not set it");
  }
  std::vector<EarlierRecall> recalls;
  for (const auto& place : list_checkpoints(run)) {
    const bool stays = place.step % kept.keep_every == 0 && place.step % kept.every_steps == 0;
    if (place.step >= step || !stays) continue;
    auto loaded = load_model(place.folder.string());
    recalls.push_back({place.step, evaluate_probes(loaded.model, loaded.tokenizer, options)});
  }
  return recalls;
}

// Those of the model unless given: the same for all models that are to be compared.
DistanceBands bands_of(const RecallCommand& options, const ModelConfig& model) {
  DistanceBands bands = {options.window, options.layers};
  if (bands.layers == 0) bands.layers = model.num_hidden_layers();
  if (bands.window == 0) bands.window = model.window_size;
  if (bands.window == 0) {
    throw InputError(options.run_or_checkpoint +
                     ": its model has no window, so the bands of distance need one: give --window, "
                     "that of the models to compare it with");
  }
  return bands;
}

void run_recall(RecallCommand options) {
  Problems problems;
  check_output_path(options.json, "\"bands\"", problems);
  if (options.earlier && options.json.empty())
    problems.add("--earlier: its answers are written as JSON only; give --json FILE");
  problems.throw_if_any();
  auto loaded = load_model(options.run_or_checkpoint);
  const auto& data = loaded.config.data;
  const auto vocabulary = loaded.config.model.vocab_size;
  auto& recall = options.recall;
  recall.bands = bands_of(options, loaded.config.model);
  for (const auto& name : options.tasks)
    recall.tasks.push_back(value_named<ProbeTask>(name).value());
  if (recall.lengths.empty()) recall.lengths = {data.sequence_length};
  std::sort(recall.lengths.begin(), recall.lengths.end());

  TokenDatasets train, validation;
  if (!data.validation.empty()) {
    train = open_training_datasets(loaded.config, loaded.tokenizer);
    validation = open_datasets(data.validation, loaded.tokenizer, vocabulary);
  }
  RecallResult result;
  {
    ProgressBars bars("");
    recall.progress = [&](const std::string& what, std::int64_t done, std::int64_t total) {
      bars.update(what, static_cast<std::uint64_t>(done), static_cast<std::uint64_t>(total));
    };
    result = evaluate_recall(loaded.model, loaded.tokenizer,
                             {train, validation, given_weights(data.validation),
                              data.sequence_length, data.document_mask},
                             recall);
    if (options.earlier)
      result.earlier = evaluate_earlier(options.run_or_checkpoint, loaded.step,
                                        loaded.config.checkpoint, recall);
  }
  std::cout << recall_text(result) << std::flush;
  if (!options.json.empty()) {
    auto json = recall_json(result);
    json["step"] = loaded.step;
    json["asked"] = asked_json(recall, options.earlier);
    write_json(options.json, json);
  }
  require_finite(result);
}

}  // namespace

void add_recall_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "recall", "What a model finds again in its context, by distance: natural text and probes");
  const auto options = std::make_shared<RecallCommand>();
  auto& recall = options->recall;
  add_checkpoint_argument(*command, options->run_or_checkpoint);
  add_number(*command, "--window", &options->window, at_least(1),
             "Window of the bands of distance; default: the model's", "W");
  add_number(*command, "--layers", &options->layers, at_least(1),
             "Local layers that may relay in the bands of distance; default: the model's");
  add_number(*command, "--lengths", &recall.lengths, at_least(1),
             "Lengths of probes and text; default: the run's sequence length", "N,N,…");
  command->add_option("--tasks", options->tasks, "Probes to ask")
      ->delimiter(',')
      ->check(CLI::IsMember(names_of<ProbeTask>()))
      ->type_name("TASK,…")
      ->default_str(list_default(options->tasks));
  add_number(*command, "--items", &recall.items, at_least(1), "Probes of each task and length");
  add_number(*command, "--keys", &recall.vocabulary.keys, at_least(1), "Tokens that ask");
  add_number(*command, "--values", &recall.vocabulary.values, at_least(1), "Tokens that answer");
  add_number(*command, "--fillers", &recall.vocabulary.fillers, at_least(0),
             "Tokens that stand between; 0: all others");
  add_number(*command, "--questions", &recall.questions, at_least(0),
             "Questions in a sequence of associative_recall; 0: length / 8");
  add_number(*command, "--pairs", &recall.pairs, at_least(2),
             "Pairs (strings, chains) of which one is asked for; default: the task's own", "N,N,…");
  add_number(*command, "--hops", &recall.hops, at_least(1),
             "Hops of variable_tracking from the asked name to a value; default: 2", "N,N,…");
  command->add_option("--seed", recall.seed, "The same seed asks the same")->capture_default_str();
  add_number(*command, "--max-tokens", &recall.max_tokens, at_least(1),
             "Tokens of validation text at most; default: all");
  command->add_flag(
      "--earlier", options->earlier,
      "Ask the probes at the earlier checkpoints that checkpoint.keep_every keeps too, "
      "into --json: how soon recall is learnt");
  command->add_option("--json", options->json, "Write every single answer to this file")
      ->type_name("FILE");
  command->footer("Example: zebra recall runs/tiny --window 16 --layers 6 --json recall.json");
  command->callback([options] { run_recall(*options); });
}

}  // namespace zebra
