#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "cli/command_line.h"
#include "cli/shared_options.h"
#include "config/load.h"

namespace zebra {
namespace {

struct ConfigOptions {
  RunFileOptions run_files;
  bool reference = false;
  bool schema = false;
  int ranks = 1;
};

void print_config(const ConfigOptions& options) {
  std::cout << (options.reference ? config_reference()
                : options.schema  ? config_schema()
                                  : to_yaml(options.run_files.load(options.ranks)));
}

}  // namespace

void add_config_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("config", "Print the resolved configuration of a run file");
  const auto options = std::make_shared<ConfigOptions>();
  options->run_files.add_to(*command);
  CLI::Option* reference = command->add_flag("--reference", options->reference,
                                             "Print the reference of all keys as Markdown");
  command->add_flag("--schema", options->schema, "Print the JSON Schema of run files (draft 07)")
      ->excludes(reference);
  add_number(*command, "--ranks", &options->ranks, between(1, kMostRanks),
             "Processes that share train.global_batch_size");
  command->callback([options] { print_config(*options); });
}

}  // namespace zebra
