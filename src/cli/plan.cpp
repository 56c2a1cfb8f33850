#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "cli/command_line.h"
#include "cli/shared_options.h"
#include "cli/training_job.h"
#include "config/load.h"
#include "data/foreign_tokens.h"
#include "data/training_data.h"
#include "plan/plan.h"

namespace zebra {
namespace {

struct PlanOptions {
  RunFileOptions run_files;
  int ranks = 1;
  std::string gpu;
  std::string link = "400gb";
  std::int64_t gpus_per_host = 8;
  double efficiency = 0.4;
  bool json = false;
};

std::optional<Hardware> hardware_of(const PlanOptions& options) {
  if (options.gpu.empty()) return std::nullopt;
  const Cluster cluster = {find_gpu(options.gpu), network_bytes_per_second(options.link),
                           options.gpus_per_host};
  return Hardware{cluster, options.efficiency};
}

// Of the run's data where they are there already: a plan is made before.
std::optional<TrainingData> data_of(const Config& config) {
  const auto is_there = [](const DataSource& source) {
    return std::filesystem::exists(source.path / "dataset.json") ||
           names_foreign_tokens(source.path);
  };
  if (!std::filesystem::exists(config.data.tokenizer) ||
      !std::ranges::all_of(config.data.train, is_there)) {
    return std::nullopt;
  }
  try {
    const Tokenizer tokenizer(config.data.tokenizer);
    const auto& train = config.data.train;
    return TrainingData(
        config, open_datasets({train.begin(), train.end()}, tokenizer, config.model.vocab_size),
        /*pinned=*/false);
  } catch (const InputError& error) {
    log_warning(error.what());
    return std::nullopt;
  }
}

// The tokenizer is needed only where the vocabulary is not given.
Config load(const PlanOptions& options) {
  const RunFile file = options.run_files.load(options.ranks);
  const bool has_tokenizer = std::filesystem::exists(file.data.tokenizer);
  if (file.model.vocab_size && !has_tokenizer) return resolve(file);
  return resolve(file, Tokenizer(file.data.tokenizer).vocab_size());
}

void print_plan(const PlanOptions& options) {
  const auto hardware = hardware_of(options);
  const auto config = load(options);
  const auto plan = make_plan(config, options.ranks, hardware);
  const auto data = data_of(config);
  if (options.json) {
    auto json = to_json(plan);
    if (data) json["data"] = data_json(*data);
    std::cout << json_text(json, 2);
    return;
  }
  std::cout << to_text(plan);
  if (!data) return;
  std::cout << data_table(*data) << std::flush;
  for (const auto& warning : repetition_warnings(*data)) log_warning(warning);
}

void add_hardware_options(CLI::App& command, PlanOptions& options) {
  add_number(command, "--ranks", &options.ranks, between(1, kMostRanks),
             "Processes that train, one per GPU: for bytes per rank and on the wire");
  auto* gpu = command.add_option("--gpu", options.gpu,
                                 "Also the time of a step on this GPU: a100, h100, h200, b200, …");
  command
      .add_option("--link", options.link,
                  "Network link of each GPU: its rate in gigabits per second, or hdr, ndr, …")
      ->needs(gpu)
      ->capture_default_str();
  add_number(command, "--gpus-per-host", &options.gpus_per_host, at_least(1),
             "GPUs that share a host")
      ->needs(gpu);
  add_number(command, "--efficiency", &options.efficiency, above(0).at_most(1),
             "Share of the GPU's peak that compute is assumed to reach", "SHARE")
      ->needs(gpu);
}

}  // namespace

void add_plan_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("plan", "Print what a run will cost: parameters, FLOPs, bytes, time");
  const auto options = std::make_shared<PlanOptions>();
  options->run_files.add_to(*command);
  add_hardware_options(*command, *options);
  add_json_flag(*command, options->json);
  command->footer(
      "Tells how often each source is read where the datasets are there already.\n"
      "Examples: ZEBRA_DATA=data zebra plan configs/zebra-125m.yaml\n"
      "          ZEBRA_DATA=data zebra plan configs/zebra-125m.yaml --ranks 32 --gpu h100");
  command->callback([options] { print_plan(*options); });
}

}  // namespace zebra
