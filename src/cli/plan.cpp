#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/model_vocabulary.h"
#include "cli/run_file_options.h"
#include "train/plan.h"

namespace zebra {
namespace {

struct PlanOptions {
  RunFileOptions run_files;
  bool json = false;
};

void print_plan(const PlanOptions& options) {
  Config config = options.run_files.load();
  // A plan is made before there is data: the tokenizer is needed only where the vocabulary is not
  // given.
  if (!config.model.vocab_size || std::filesystem::exists(config.data.tokenizer)) {
    config.model.vocab_size = model_vocabulary(config.model, Tokenizer(config.data.tokenizer));
  }
  if (options.json) {
    std::cout << plan_json(config).dump(2) << "\n";
  } else {
    std::cout << plan_text(config);
  }
}

}  // namespace

void add_plan_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("plan", "Print what a run will cost: parameters, FLOPs, bytes, tokens");
  const auto options = std::make_shared<PlanOptions>();
  options->run_files.add_to(*command);
  command->add_flag("--json", options->json, "Print JSON");
  command->footer("Example: zebra plan configs/zebra-125m.yaml");
  command->callback([options] { print_plan(*options); });
}

}  // namespace zebra
