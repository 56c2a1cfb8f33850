#include "cli/data_probes.h"

#include <iostream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/text.h"
#include "data/probe_dataset.h"

namespace zebra {
namespace {

struct ProbesCommand {
  ProbeDatasetOptions options;
  std::vector<std::string> tasks = names_of<ProbeTask>();
};

std::string shares_of_answers(const ProbeDatasetReport& report) {
  const auto all = std::accumulate(report.answers.begin(), report.answers.end(), std::int64_t{0});
  std::vector<std::string> shares;
  for (const auto band : kAllDistanceBands) {
    const auto answers = report.answers[static_cast<std::size_t>(band)];
    const double percent = 100.0 * static_cast<double>(answers) / static_cast<double>(all);
    shares.push_back(fixed(percent, 1) + "% " + name_of(band));
  }
  return with_commas(all) + " answers count as targets (" + join(shares, ", ") + ")";
}

void run_probes(const ProbesCommand& command) {
  ProbeDatasetOptions options = command.options;
  for (const auto& name : command.tasks)
    options.tasks.push_back(value_named<ProbeTask>(name).value());
  const auto report = write_probe_dataset(options);
  std::cout << options.output.string() << ": " << with_commas(report.sequences) << " sequences, "
            << with_commas(report.tokens) << " tokens, of which " << shares_of_answers(report)
            << "; fingerprint " << report.fingerprint << '\n';
}

void add_size_options(CLI::App& command, ProbeDatasetOptions& options) {
  command
      .add_option("--length", options.length,
                  "Tokens of a sequence, BOS and EOS included: data.sequence_length of the run")
      ->required()
      ->type_name("N");
  command.add_option("--window", options.bands.window, "Window W of the model's local layers")
      ->required()
      ->type_name("W");
  command.add_option("--layers", options.bands.layers, "Number n of all layers of the model")
      ->required()
      ->type_name("N");
  command
      .add_option("--sequences", options.sequences,
                  "How many to write; a run takes all but the last as samples")
      ->required()
      ->type_name("N");
}

void add_content_options(CLI::App& command, ProbesCommand& probes) {
  auto& options = probes.options;
  command
      .add_option("--tasks", probes.tasks,
                  "Tasks that take turns, as in passkey,copying; one named twice gets two turns")
      ->delimiter(',')
      ->check(CLI::IsMember(names_of<ProbeTask>()))
      ->type_name("")
      ->default_str("all");
  command
      .add_option("--keys", options.vocabulary.keys, "Number of tokens that ask, as keys or names")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--values", options.vocabulary.values,
                  "Number of tokens that answer; a guess is right once in so many times")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--fillers", options.vocabulary.fillers,
                  "Number of tokens that stand between; 0: all others")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--questions", options.questions,
                  "Pairs and questions in a sequence of associative_recall; 0: length / 8")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--seed", options.seed,
                  "Chooses the sequences; those of an evaluation are others with any seed")
      ->type_name("N")
      ->capture_default_str();
}

}  // namespace

void add_data_probes_command(CLI::App& data) {
  auto* app = data.add_subcommand(
      "probes",
      "Writes a token dataset of synthetic recall tasks: the answer to each question stands "
      "earlier "
      "in its sequence, at a distance within the window W (control), up to n W, as far as local "
      "layers relay it (relay), or farther (beyond), a third each where the length has room. Only "
      "answers count as targets");
  const auto command = std::make_shared<ProbesCommand>();
  auto& options = command->options;
  app->add_option("--tokenizer", options.tokenizer, "SentencePiece model of the runs to come")
      ->required()
      ->type_name("FILE");
  add_size_options(*app, options);
  add_content_options(*app, *command);
  app->add_option("--output", options.output, "Folder to make")->required()->type_name("DIR");
  app->add_flag("--overwrite", options.overwrite,
                "Replace the output if it is a token dataset already");
  app->footer(
      "Example: zebra data probes --tokenizer tok.model --length 256 --window 16 --layers 6 "
      "--sequences 20000 --output data/probes");
  app->callback([command] { run_probes(*command); });
}

}  // namespace zebra
