// zebra import and export: models from and for HuggingFace's transformers.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "base/message.h"
#include "base/text.h"
#include "checkpoint/folder.h"
#include "checkpoint/model_state.h"
#include "cli/command_line.h"
#include "cli/shared_options.h"
#include "config/load.h"
#include "config/model_config.h"
#include "config/names.h"
#include "data/chat_renderer.h"
#include "interop/huggingface_export.h"
#include "interop/huggingface_import.h"
#include "model/placement.h"

namespace zebra {
namespace {

struct ImportOptions {
  std::string folder, output;
  std::optional<std::filesystem::path> tokenizer;
  bool dry_run = false;
};

// The section of the resolved file, its own line included.
std::string model_section(const Config& config) {
  const std::string yaml = to_yaml(config);
  const std::size_t begin = yaml.find("\nmodel:\n") + 1;
  std::size_t end = yaml.find('\n', begin) + 1;
  while (end < yaml.size() && yaml[end] == ' ') end = yaml.find('\n', end) + 1;
  return yaml.substr(begin, end - begin);
}

std::string layout_text(const ModelConfig& model) {
  const auto globals = model.layers_of(LayerKind::global);
  const std::string layers = std::to_string(model.num_hidden_layers()) + " layers, ";
  if (!model.has(LayerKind::local)) return layers + "all global";
  const std::string window = "window " + window_in_words(model.window_size);
  if (globals == 0) return layers + "all local, " + window;
  return layers + std::to_string(globals) + " global (" + pattern_of(model.layers) + "), " + window;
}

std::string types_text(const std::vector<torch::ScalarType>& types) {
  std::vector<std::string> names;
  for (const auto type : types) {
    names.push_back(type == torch::kFloat32    ? "float32"
                    : type == torch::kBFloat16 ? "bfloat16"
                                               : "float16");
  }
  return join(names, " and ");
}

void print_summary(const HuggingFaceImport& imported) {
  const auto& config = imported.config;
  std::cout << config.run.name << " (" << imported.model_type << ")\n"
            << "  layout      " << layout_text(config.model) << "\n"
            << "  parameters  " << with_commas(imported.parameters) << ", stored as "
            << types_text(imported.stored_types) << " ("
            << with_byte_unit(static_cast<double>(imported.bytes)) << "), computed in "
            << (config.train.precision == Precision::bf16 ? "bfloat16" : "float32") << "\n"
            << "  positions   up to " << with_commas(config.model.max_position_embeddings) << "\n";
  if (config.model.rope_scaling.type == RopeScaling::dynamic) {
    std::cout << "              dynamic scaling is that of the whole text, prompt and new tokens; "
                 "transformers lets it grow while it generates\n";
  }
}

void run_import(const ImportOptions& options) {
  const auto imported = read_huggingface_folder(options.folder, options.tokenizer, options.output);
  if (options.dry_run) {
    std::cout << model_section(imported.config) << std::flush;
    return;
  }
  write_imported_checkpoint(imported);
  print_summary(imported);
  std::cout << "written to " << imported.output.string() << "\n"
            << "next:\n"
            << "  zebra generate " << shell_word(options.output) << " --prompt TEXT\n"
            << "  zebra eval " << shell_word(options.output) << " --data DATASET\n"
            << "  model.init_from: " << options.output << "   in a run file, to train it further"
            << std::endl;
}

}  // namespace

void add_import_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "import", "Make a checkpoint of a HuggingFace folder (Llama, Mistral, CWM, or our export)");
  const auto options = std::make_shared<ImportOptions>();
  command
      ->add_option("HF_DIR", options->folder,
                   "Folder with config.json, model.safetensors (or its shards with their index) "
                   "and tokenizer.model or tokenizer.json")
      ->required();
  command->add_option("--output", options->output, "New checkpoint folder")
      ->required()
      ->type_name("DIR");
  command
      ->add_option("--tokenizer", options->tokenizer,
                   "SentencePiece model or tokenizer.json, where HF_DIR has none")
      ->type_name("FILE");
  command->add_flag("--dry-run", options->dry_run,
                    "Check everything and print the model section of a run file; write nothing");
  command->footer("Example: zebra import Mistral-7B-v0.1 --output imported");
  command->callback([options] { run_import(*options); });
}

namespace {

constexpr double kBytesPerGigabyte = 1e9;

struct ExportOptions {
  std::string run_or_checkpoint, output, type, chat_template;
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
  const Tokenizer tokenizer(config.data.tokenizer);
  std::optional<ChatRenderer> chat;
  if (!options.chat_template.empty())
    chat.emplace(open_chat_template(options.chat_template), tokenizer);
  auto model = load_weights_in(checkpoint, config);
  export_huggingface(config, model, tokenizer, options.output,
                     std::llround(options.largest_shard * kBytesPerGigabyte),
                     chat ? &*chat : nullptr);
  log_info("exported step " + std::to_string(checkpoint.step()) + " to " + options.output);
}

}  // namespace

void add_export_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("export", "Write a folder that HuggingFace transformers opens");
  const auto options = std::make_shared<ExportOptions>();
  add_checkpoint_argument(*command, options->run_or_checkpoint);
  command->add_option("--output", options->output, "New folder")->required()->type_name("DIR");
  command->add_option("--dtype", options->type, "Type of the weights; the run's by default")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->type_name("TYPE");
  command
      ->add_option("--chat-template", options->chat_template,
                   "Also write chat_template.jinja, of the template of `zebra data chat`: " +
                       join(chat_template_names(), ", ") + ", or a YAML file")
      ->type_name("NAME_OR_FILE");
  add_number(*command, "--max-shard-size", &options->largest_shard, between(1e-9, 1e9),
             "Weights of more gigabytes become several files", "GIGABYTES");
  command->footer("Example: zebra export runs/tiny --output exported --dtype bf16");
  command->callback([options] { run_export(*options); });
}

}  // namespace zebra
