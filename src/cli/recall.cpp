#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "checkpoint/load_model.h"
#include "cli/commands.h"
#include "cli/json_file.h"
#include "config/names.h"
#include "eval/recall.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string run_or_checkpoint;
  std::int64_t window = 0, layers = 0;
  std::vector<std::string> tasks = names_of<ProbeTask>();
  RecallOptions recall;
  std::string json;
};

// Those of the model unless given: the same for all models that are to be compared.
DistanceBands bands_of(const Options& options, const ModelConfig& model) {
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

std::vector<ProbeTask> tasks_of(const Options& options) {
  std::vector<ProbeTask> tasks;
  for (const auto& name : options.tasks) tasks.push_back(value_named<ProbeTask>(name).value());
  return tasks;
}

// Sums of one band.
struct BandScore {
  double log_likelihood = 0, exact = 0, answers = 0;
};

void print_text(const Json& text) {
  std::printf("text        loss %.4f  (%s tokens)\n", text["loss"].get<double>(),
              with_commas(text["tokens"].get<std::int64_t>()).c_str());
  for (const auto& row : text["by_length"]) {
    std::printf("  length %-6s %8.4f\n", row["length"].dump().c_str(), row["loss"].get<double>());
  }
  std::cout << "repeated pairs, rare in training    loss      tokens\n";
  for (const auto& row : text["bigrams"]) {
    double nats = 0, tokens = 0;
    for (const auto& value : row["nats"]) nats += value.get<double>();
    for (const auto& value : row["tokens"]) tokens += value.get<double>();
    std::printf("  %-28s  %8s  %10s\n", row["class"].get<std::string>().c_str(),
                tokens > 0 ? fixed(nats / tokens, 4).c_str() : "-",
                with_commas(static_cast<std::int64_t>(tokens)).c_str());
  }
  const auto &full = text["context"]["full"], &cut = text["context"]["cut"];
  if (full.empty()) return;  // no document is longer than a window
  double gain = 0;
  for (std::size_t i = 0; i < full.size(); ++i)
    gain += cut[i].get<double>() - full[i].get<double>();
  std::printf("context beyond one window saves %.4f nats a token (%zu targets)\n",
              gain / static_cast<double>(full.size()), full.size());
}

void print_probe(const Json& probe, const DistanceBands& bands) {
  std::map<DistanceBand, BandScore> scores;
  for (std::size_t i = 0; i < probe["item"].size(); ++i) {
    auto& score = scores[bands.band_of(probe["distance"][i].get<std::int64_t>())];
    score.log_likelihood += probe["log_likelihood"][i].get<double>();
    score.exact += probe["exact"][i].get<double>();
    score.answers += 1;
  }
  const double chance = 1.0 / probe["values"].get<double>();  // of one answer token
  for (const auto& [band, score] : scores) {
    std::printf("%-20s %6s  %-8s  %9.4f  %6.3f  %7.4f  %6.3f  %8.0f\n",
                probe["task"].get<std::string>().c_str(), probe["length"].dump().c_str(),
                name_of(band).c_str(), score.log_likelihood / score.answers,
                score.exact / score.answers, std::log(chance), chance, score.answers);
  }
}

void print_tables(const Json& recall, const DistanceBands& bands) {
  std::printf(
      "bands of distance: control up to %lld, relay up to %lld, beyond only by global "
      "layers\n\n",
      static_cast<long long>(bands.window), static_cast<long long>(bands.reach()));
  if (!recall["text"].is_null()) print_text(recall["text"]);
  if (recall["probes"].empty()) return;
  std::cout
      << "\nprobe                length  band      log-lik.   exact   chance  chance   answers\n";
  for (const auto& probe : recall["probes"]) print_probe(probe, bands);
}

// One bar for each thing that is measured.
class Bars {
 public:
  ~Bars() { finish(); }
  void update(const std::string& what, std::int64_t done, std::int64_t total) {
    if (what != what_) {
      finish();
      what_ = what;
      bar_ = std::make_unique<ProgressBar>(what, static_cast<std::uint64_t>(total), "");
    }
    done_ = static_cast<std::uint64_t>(done);
    bar_->update(done_);
  }

 private:
  void finish() {
    if (bar_) bar_->finish(done_);
    bar_.reset();
  }

  std::string what_;
  std::unique_ptr<ProgressBar> bar_;
  std::uint64_t done_ = 0;
};

void run_recall(Options options) {
  Problems problems;
  check_output_path(options.json, problems);
  problems.throw_if_any();
  auto loaded = load_model(options.run_or_checkpoint);
  const auto& data = loaded.config.data;
  const auto vocabulary = loaded.config.model.vocab_size;
  auto& recall = options.recall;
  recall.bands = bands_of(options, loaded.config.model);
  recall.tasks = tasks_of(options);
  if (recall.lengths.empty()) recall.lengths = {data.sequence_length};
  std::sort(recall.lengths.begin(), recall.lengths.end());

  TokenDatasets train, validation;
  if (!data.validation.empty()) {
    train = open_datasets(data.train, loaded.tokenizer, vocabulary);
    validation = open_datasets(data.validation, loaded.tokenizer, vocabulary);
  }
  Json result;
  {
    Bars bars;
    recall.progress = [&](const std::string& what, std::int64_t done, std::int64_t total) {
      bars.update(what, done, total);
    };
    result = evaluate_recall(loaded.model, loaded.tokenizer,
                             {train, validation, data.sequence_length, data.document_mask}, recall);
  }
  result["step"] = loaded.step;
  print_tables(result, recall.bands);
  if (!options.json.empty()) write_json(options.json, result);
}

}  // namespace

void add_recall_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "recall", "What a model finds again in its context, by distance: natural text and probes");
  const auto options = std::make_shared<Options>();
  auto& recall = options->recall;
  command
      ->add_option("RUN_OR_CHECKPOINT", options->run_or_checkpoint,
                   "Run folder (RUN, RUN@step, RUN@best) or checkpoint folder")
      ->required();
  command
      ->add_option("--window", options->window,
                   "Window of the bands of distance; default: the model's")
      ->check(CLI::PositiveNumber)
      ->type_name("W");
  command
      ->add_option("--layers", options->layers,
                   "Local layers that may relay in the bands of distance; default: the model's")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command
      ->add_option("--lengths", recall.lengths,
                   "Lengths of probes and text; default: the run's sequence length")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->type_name("N,N,…");
  command->add_option("--tasks", options->tasks, "Probes to ask")
      ->delimiter(',')
      ->check(CLI::IsMember(names_of<ProbeTask>()))
      ->type_name("TASK,…")
      ->capture_default_str();
  command->add_option("--items", recall.items, "Probes of each task and length")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--keys", recall.vocabulary.keys, "Tokens that ask")->capture_default_str();
  command->add_option("--values", recall.vocabulary.values, "Tokens that answer")
      ->capture_default_str();
  command
      ->add_option("--fillers", recall.vocabulary.fillers,
                   "Tokens that stand between; 0: all others")
      ->capture_default_str();
  command
      ->add_option("--questions", recall.questions,
                   "Pairs and questions in a sequence of associative_recall; 0: length / 8")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--seed", recall.seed, "The same seed asks the same")->capture_default_str();
  command
      ->add_option("--max-tokens", recall.max_tokens,
                   "Tokens of validation text at most; default: all")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command->add_option("--json", options->json, "Write every single answer to this file")
      ->type_name("FILE");
  command->footer("Example: zebra recall runs/tiny --window 16 --layers 6 --json recall.json");
  command->callback([options] { run_recall(*options); });
}

}  // namespace zebra
