#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/text.h"
#include "cli/command_line.h"
#include "cli/data_commands.h"
#include "cli/shared_options.h"
#include "config/load.h"
#include "data/adopt.h"
#include "data/dataset_view.h"
#include "data/tokenizer.h"
#include "data/training_data.h"

namespace zebra {
namespace {

constexpr std::size_t kIdsInLine = 12;
constexpr double kMostShown = 1 << 26;

struct ShowCommand {
  std::string dataset, tokenizer, run_file;
  std::int64_t sample = 0;
  std::int64_t most_tokens = 2048;
  bool json = false;
};

Config config_of(const std::string& run_file, const Tokenizer& tokenizer) {
  RunFileOptions options;
  options.files = {run_file};
  return resolve(options.load(), tokenizer.vocab_size());
}

/// The tokenizer's file: as named, or the run's; empty where there is neither.
std::string tokenizer_file(const ShowCommand& command) {
  if (!command.tokenizer.empty() || command.run_file.empty()) return command.tokenizer;
  RunFileOptions options;
  options.files = {command.run_file};
  return options.load().data.tokenizer;
}

/// Verified where it is touched only. Without a tokenizer a dataset is taken as it says it is.
std::unique_ptr<TokenDataset> open_to_show(const std::string& path, const Tokenizer* tokenizer) {
  constexpr std::uint64_t kVerifyWhatIsTouched = 0;
  if (tokenizer == nullptr) {
    if (names_foreign_tokens(path)) {
      throw InputError(path +
                       ": holds token files of another program: make a dataset of them with "
                       "`zebra data adopt`, or name their tokenizer to `zebra data show`");
    }
    return std::make_unique<TokenDataset>(path, kVerifyWhatIsTouched);
  }
  if (names_foreign_tokens(path))
    return open_foreign_tokens(path, *tokenizer, tokenizer->vocab_size());
  return std::make_unique<TokenDataset>(path, tokenizer->hash(), tokenizer->vocab_size(),
                                        kVerifyWhatIsTouched);
}

std::string document_line(const TokenDataset& dataset, std::int64_t number) {
  const auto offsets = dataset.document_offsets();
  const auto index = static_cast<std::size_t>(number);
  return "-- document " + with_commas(number) + " of " + with_commas(dataset.documents()) + ", " +
         with_commas(static_cast<std::int64_t>(offsets[index + 1] - offsets[index])) + " tokens --";
}

/// Lines of a run: position, whether the tokens count, their text in quotes, their ids.
void print_run(const TokenRun& run, std::int32_t before, const Tokenizer* tokenizer) {
  std::span<const std::int32_t> ids = run.ids;
  std::int64_t position = run.begin;
  while (!ids.empty()) {
    const auto part = ids.first(std::min(kIdsInLine, ids.size()));
    std::string line = with_commas(position) + (run.counts ? "  target  " : "  input   ");
    if (tokenizer != nullptr) {
      std::string text = json_text(text_of_ids(*tokenizer, before, part));
      text.pop_back();  // the line's end
      line += text + "  ";
    }
    line += "[" + join_numbers({part.begin(), part.end()}, " ") + "]";
    print_line(std::cout, line, run.counts ? Style::green : Style::faint);
    before = part.back();
    position += std::ssize(part);
    ids = ids.subspan(part.size());
  }
}

/// The sample as TrainingData has it, and what to call it.
std::pair<DatasetView, std::string> view_as_trained(const TokenDataset& dataset,
                                                    std::int64_t sample, const Config& config) {
  const auto& data = config.data;
  const auto title = [sample](std::int64_t samples) {
    return "sample " + with_commas(sample) + " of " + with_commas(samples);
  };
  if (data.packing == Packing::concat) {
    return {view_sample(dataset, sample, data.sequence_length, data.document_mask),
            title((dataset.tokens() - 1) / data.sequence_length)};
  }
  const auto plan = open_sample_plan(plan_folder(config), dataset, plan_options(config));
  return {view_planned_sample(dataset, plan, sample), title(plan.samples())};
}

void print_view(const DatasetView& view, const std::string& title, const TokenDataset& dataset,
                const Tokenizer* tokenizer) {
  std::cout << dataset.path().string() << ": " << title << ", tokens " << with_commas(view.begin)
            << " to " << with_commas(view.end) << " of " << with_commas(dataset.tokens()) << ", "
            << with_commas(view.targets()) << " of them targets\n";
  if (dataset.has_labels_only()) {
    std::cout << "its targets are labels only: a model reads the id "
              << *dataset.description().label_stand_in << " in their place\n";
  }
  std::int64_t document = -1;
  std::int32_t before = -1;
  for (const auto& run : view.runs) {
    if (run.document != document)
      print_line(std::cout, document_line(dataset, run.document), Style::bold);
    if (run.begins_document) before = -1;
    document = run.document;
    print_run(run, before, tokenizer);
    before = run.ids.back();
  }
}

nlohmann::ordered_json view_json(const DatasetView& view, const TokenDataset& dataset,
                                 const Tokenizer* tokenizer) {
  nlohmann::ordered_json json = {{"path", dataset.path().string()},
                                 {"begin", view.begin},
                                 {"end", view.end},
                                 {"targets", view.targets()}};
  json["runs"] = nlohmann::ordered_json::array();
  std::int32_t before = -1;
  for (const auto& run : view.runs) {
    if (run.begins_document) before = -1;
    nlohmann::ordered_json entry = {{"document", run.document},
                                    {"begins_document", run.begins_document},
                                    {"begin", run.begin},
                                    {"target", run.counts},
                                    {"ids", run.ids}};
    if (tokenizer != nullptr) entry["text"] = text_of_ids(*tokenizer, before, run.ids);
    json["runs"].push_back(std::move(entry));
    before = run.ids.back();
  }
  return json;
}

void run_show(const ShowCommand& command) {
  std::optional<Tokenizer> tokenizer;
  if (const auto file = tokenizer_file(command); !file.empty()) tokenizer.emplace(file);
  const Tokenizer* const known = tokenizer ? &*tokenizer : nullptr;
  const auto dataset = open_to_show(command.dataset, known);
  DatasetView view;
  std::string title;
  if (command.run_file.empty()) {
    view = view_document(*dataset, command.sample, command.most_tokens);
    title = "document " + with_commas(command.sample);
  } else {
    const auto config = config_of(command.run_file, *known);
    std::tie(view, title) = view_as_trained(*dataset, command.sample, config);
  }
  if (command.json) {
    std::cout << json_text(view_json(view, *dataset, known), 2);
    return;
  }
  print_view(view, title, *dataset, known);
}

struct StatCommand {
  std::vector<std::string> datasets;
  std::string run_file;
  bool json = false;
};

/// A dataset, and what a run makes of it.
struct Source {
  const TokenDataset* dataset;
  std::optional<double> passes, share;
};

nlohmann::ordered_json source_json(const Source& source) {
  const auto& dataset = *source.dataset;
  const auto statistics = statistics_of(dataset);
  nlohmann::ordered_json json = {{"path", dataset.path().string()},
                                 {"documents", dataset.documents()},
                                 {"tokens", dataset.tokens()},
                                 {"targets", statistics.targets},
                                 {"text_bytes", dataset.text_bytes()},
                                 {"files", std::ssize(dataset.description().all_pieces())},
                                 {"vocab_size", dataset.description().vocab_size},
                                 {"tokenizer_hash", dataset.description().tokenizer_hash},
                                 {"fingerprint", dataset.fingerprint()}};
  json["document_tokens"] = {{"shortest", statistics.shortest},
                             {"tenth_percentile", statistics.tenth_percentile},
                             {"median", statistics.median},
                             {"mean", statistics.mean},
                             {"ninetieth_percentile", statistics.ninetieth_percentile},
                             {"longest", statistics.longest}};
  if (source.share) json["share_of_samples"] = *source.share;
  if (source.passes) json["passes"] = *source.passes;
  return json;
}

void add_source_rows(const Source& source, std::vector<std::vector<std::string>>& rows) {
  const auto& dataset = *source.dataset;
  const auto statistics = statistics_of(dataset);
  const auto tokens = static_cast<double>(dataset.tokens());
  rows.push_back({"dataset", dataset.path().string()});
  rows.push_back({"  documents", with_commas(dataset.documents())});
  rows.push_back({"  tokens", with_commas(dataset.tokens())});
  rows.push_back({"  targets", percent(static_cast<double>(statistics.targets) / tokens)});
  rows.push_back(
      {"  bytes per token", fixed(static_cast<double>(dataset.text_bytes()) / tokens, 3)});
  rows.push_back({"  tokens of a document", "median " + with_commas(statistics.median) + ", mean " +
                                                fixed(statistics.mean, 1)});
  rows.push_back({"", "80 % have " + with_commas(statistics.tenth_percentile) + " to " +
                          with_commas(statistics.ninetieth_percentile) + ", all " +
                          with_commas(statistics.shortest) + " to " +
                          with_commas(statistics.longest)});
  if (source.share) rows.push_back({"  of the run's samples", percent(*source.share)});
  if (source.passes) rows.push_back({"  read by the run", fixed(*source.passes, 2) + " times"});
  rows.push_back({"  fingerprint", dataset.fingerprint()});
}

void print_sources(const std::vector<Source>& sources, bool as_json) {
  if (as_json) {
    auto json = nlohmann::ordered_json::array();
    for (const auto& source : sources) json.push_back(source_json(source));
    std::cout << json_text(json, 2);
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& source : sources) add_source_rows(source, rows);
  std::cout << text_table(rows);
}

void print_run_sources(const StatCommand& command) {
  RunFileOptions options;
  options.files = {command.run_file};
  const Tokenizer tokenizer(options.load().data.tokenizer);
  const Config config = resolve(options.load(), tokenizer.vocab_size());
  const auto& train = config.data.train;
  const TrainingData data(
      config, open_datasets({train.begin(), train.end()}, tokenizer, config.model.vocab_size),
      /*pinned=*/false);
  std::vector<Source> sources;
  for (std::size_t s = 0; s < data.sources().size(); ++s)
    sources.push_back({data.sources()[s].get(), data.passes(s), data.weights()[s]});
  print_sources(sources, command.json);
}

void run_stat(const StatCommand& command) {
  if (command.datasets.empty() == command.run_file.empty()) {
    throw InputError(
        "zebra data stat: give either token datasets, or --as-trained RUN.yaml for "
        "those of its data.train");
  }
  if (!command.run_file.empty()) return print_run_sources(command);
  TokenDatasets datasets;
  std::vector<Source> sources;
  Problems problems;
  for (const auto& path : command.datasets) {
    try {
      datasets.push_back(open_to_show(path, nullptr));
      sources.push_back({datasets.back().get(), std::nullopt, std::nullopt});
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  }
  problems.throw_if_any();
  print_sources(sources, command.json);
}

}  // namespace

void add_show_command(CLI::App& data) {
  auto* app = data.add_subcommand(
      "show",
      "Prints a document of a token dataset, or a sample as a run cuts it: text, ids, where "
      "documents begin, and which tokens count as targets (in colour on a terminal).\n\n"
      "Example: zebra data show data/train --sample 7 --as-trained run.yaml");
  const auto command = std::make_shared<ShowCommand>();
  app->add_option("DATASET", command->dataset,
                  "Token dataset, or with --tokenizer what adopt takes")
      ->required()
      ->type_name("DIR");
  add_number(*app, "--sample", &command->sample, at_least(0),
             "Number of the document, with --as-trained of the sample, from 0");
  app->add_option("--tokenizer", command->tokenizer,
                  "The dataset's tokenizer; default: the run's; without one only ids are shown")
      ->type_name("FILE");
  app->add_option("--as-trained", command->run_file,
                  "Run file that says how samples are cut: data.sequence_length, document_mask, "
                  "packing, overflow, and run.seed")
      ->type_name("RUN.yaml");
  add_number(*app, "--max-tokens", &command->most_tokens, between(0, kMostShown),
             "Show at most so many tokens of a document; 0: all");
  add_json_flag(*app, command->json);
  app->callback([command] { run_show(*command); });
}

void add_stat_command(CLI::App& data) {
  auto* app = data.add_subcommand(
      "stat",
      "Prints sizes of token datasets: documents and their lengths, tokens, targets; of a run file "
      "also how often the run reads each source.\n\n"
      "Example: zebra data stat --as-trained run.yaml");
  const auto command = std::make_shared<StatCommand>();
  app->add_option("DATASET", command->datasets, "Token datasets")->type_name("DIR");
  app->add_option("--as-trained", command->run_file, "Run file with data.train")
      ->type_name("RUN.yaml");
  add_json_flag(*app, command->json);
  app->callback([command] { run_stat(*command); });
}

}  // namespace zebra
