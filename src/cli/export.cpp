#include <memory>

#include "base/log.h"
#include "checkpoint/load_model.h"
#include "cli/commands.h"
#include "interop/huggingface_export.h"

namespace zebra {
namespace {

struct ExportOptions {
  std::string run_or_checkpoint, output;
};

void run_export(const ExportOptions& options) {
  auto loaded = load_model(options.run_or_checkpoint);
  export_huggingface(loaded.config, loaded.model, loaded.tokenizer, options.output);
  log_info("exported step " + std::to_string(loaded.step) + " to " + options.output);
}

}  // namespace

void add_export_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "export", "Write config.json, safetensors and tokenizer under HuggingFace's names");
  const auto options = std::make_shared<ExportOptions>();
  command
      ->add_option("RUN_OR_CHECKPOINT", options->run_or_checkpoint,
                   "Run folder (RUN, RUN@step, RUN@best) or checkpoint folder")
      ->required();
  command->add_option("--output", options->output, "New folder")->required()->type_name("DIR");
  command->footer("Example: zebra export runs/tiny --output exported");
  command->callback([options] { run_export(*options); });
}

}  // namespace zebra
