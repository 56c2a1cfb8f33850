#include <cmath>
#include <memory>
#include <string>

#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "checkpoint/training_tensors.h"
#include "cli/commands.h"
#include "config/names.h"
#include "interop/huggingface_export.h"
#include "model/placement.h"

namespace zebra {
namespace {

constexpr double kBytesPerGigabyte = 1e9;

struct ExportOptions {
  std::string run_or_checkpoint, output, type;
  double largest_shard = static_cast<double>(kDefaultShardBytes) / kBytesPerGigabyte;
};

// On the host, whatever device the run was on, and in the type that is asked for: float32 is what
// training keeps of a bf16 model, not its rounded weights.
ZebraModel load_weights_in(Checkpoint& checkpoint, const Config& config) {
  ZebraModel model(config.model);
  model->to(weight_type(config.train.precision));
  for (const auto& unit : model->units()) load_weights(checkpoint, unit);
  return model;
}

void run_export(const ExportOptions& options) {
  require_new_export(options.output);  // before all weights are read
  Checkpoint checkpoint(find_checkpoint(options.run_or_checkpoint));
  Config config = checkpoint.config();
  if (!options.type.empty()) config.train.precision = *value_named<Precision>(options.type);
  auto model = load_weights_in(checkpoint, config);
  export_huggingface(config, model, Tokenizer(config.data.tokenizer), options.output,
                     std::llround(options.largest_shard * kBytesPerGigabyte));
  log_info("exported step " + std::to_string(checkpoint.step()) + " to " + options.output);
}

}  // namespace

void add_export_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("export", "Write a folder that HuggingFace transformers opens");
  const auto options = std::make_shared<ExportOptions>();
  command
      ->add_option("RUN_OR_CHECKPOINT", options->run_or_checkpoint,
                   "Run folder (RUN, RUN@step, RUN@best) or checkpoint folder")
      ->required();
  command->add_option("--output", options->output, "New folder")->required()->type_name("DIR");
  command->add_option("--dtype", options->type, "Type of the weights; the run's by default")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->type_name("TYPE");
  command
      ->add_option("--max-shard-size", options->largest_shard,
                   "Weights of more gigabytes become several files")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->footer("Example: zebra export runs/tiny --output exported --dtype bf16");
  command->callback([options] { run_export(*options); });
}

}  // namespace zebra
