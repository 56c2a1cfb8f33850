#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/shared_options.h"
#include "config/load.h"
#include "data/tokenizer.h"
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
  if (!(options.efficiency > 0.0 && options.efficiency <= 1.0)) {
    throw InputError("--efficiency: " + round_trip(options.efficiency) +
                     " is no share of the peak; give a number above 0 and at most 1");
  }
  const Cluster cluster = {find_gpu(options.gpu), network_bytes_per_second(options.link),
                           options.gpus_per_host};
  return Hardware{cluster, options.efficiency};
}

// A plan is made before there is data: the tokenizer is needed only where the vocabulary is not
// given.
Config load(const PlanOptions& options) {
  const RunFile file = options.run_files.load(options.ranks);
  const bool has_tokenizer = std::filesystem::exists(file.data.tokenizer);
  if (file.model.vocab_size && !has_tokenizer) return resolve(file);
  return resolve(file, Tokenizer(file.data.tokenizer).vocab_size());
}

void print_plan(const PlanOptions& options) {
  const auto hardware = hardware_of(options);
  const auto plan = make_plan(load(options), options.ranks, hardware);
  if (options.json) {
    std::cout << json_text(to_json(plan), 2);
  } else {
    std::cout << to_text(plan);
  }
}

void add_hardware_options(CLI::App& command, PlanOptions& options) {
  command
      .add_option("--ranks", options.ranks,
                  "Processes that train, one per GPU: for bytes per rank and on the wire")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  auto* gpu = command.add_option("--gpu", options.gpu,
                                 "Also the time of a step on this GPU: a100, h100, h200, b200, …");
  command
      .add_option("--link", options.link,
                  "Network link of each GPU: its rate in gigabits per second, or hdr, ndr, …")
      ->needs(gpu)
      ->capture_default_str();
  command.add_option("--gpus-per-host", options.gpus_per_host, "GPUs that share a host")
      ->needs(gpu)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--efficiency", options.efficiency,
                  "Share of the GPU's peak that compute is assumed to reach")
      ->needs(gpu)
      ->capture_default_str();
}

}  // namespace

void add_plan_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("plan", "Print what a run will cost: parameters, FLOPs, bytes, time");
  const auto options = std::make_shared<PlanOptions>();
  options->run_files.add_to(*command);
  add_hardware_options(*command, *options);
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Examples: zebra plan configs/zebra-125m.yaml\n"
      "          zebra plan configs/zebra-125m.yaml --ranks 32 --gpu h100 --link 400gb");
  command->callback([options] { print_plan(*options); });
}

}  // namespace zebra
