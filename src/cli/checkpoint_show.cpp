#include "cli/checkpoint_show.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "checkpoint/verification.h"
#include "cli/checkpoint_entries.h"
#include "config/model_config.h"
#include "config/names.h"
#include "plan/model_cost.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

struct ShowOptions {
  std::string run_or_checkpoint;
  bool tensors = false;
  bool json = false;
};

/// All that is shown of a checkpoint; tensors only where they are asked for.
struct Contents {
  std::filesystem::path folder;
  Config config;
  Manifest manifest;
  std::int64_t format_version;
  std::string written;
};

Contents read_contents(const std::string& run_or_checkpoint) {
  Checkpoint checkpoint(find_checkpoint(run_or_checkpoint));
  const auto path = checkpoint.folder() / Manifest::kFileName;
  const std::string text = read_file(path);
  return {checkpoint.folder(), checkpoint.config(), Manifest::from_text(text, path),
          Json::parse(text).at("format_version").get<std::int64_t>(), written_text(path)};
}

std::uint64_t bytes_of(const Manifest& manifest) {
  std::uint64_t bytes = 0;
  for (const auto& [name, record] : manifest.files) bytes += record.size;
  return bytes;
}

std::string layout_in_words(const ModelConfig& model) {
  const auto global = model.layers_of(LayerKind::global);
  const auto local = model.layers_of(LayerKind::local);
  std::string text = pattern_of(model.layers) + ": " + std::to_string(global) + " global, " +
                     std::to_string(local) + " local";
  if (local > 0) text += " that see " + window_in_words(model.window_size);
  return text;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::vector<std::string> sizes;
  for (const auto size : shape) sizes.push_back(std::to_string(size));
  return "[" + join(sizes, ", ") + "]";
}

std::string groups_text(const Manifest& manifest) {
  std::vector<std::string> groups;
  for (const auto& [group, parts] : parts_by_group(manifest))
    groups.push_back(group + " in " + std::to_string(parts.size()) +
                     (parts.size() == 1 ? " part" : " parts"));
  return join(groups, ", ");
}

// An imported model has no steps to come.
std::string step_text(const Contents& contents) {
  const auto max_steps = contents.config.train.max_steps;
  return with_commas(contents.manifest.step) +
         (max_steps > 0 ? " of " + with_commas(max_steps) : "");
}

void add_training_rows(const Json& training, Rows& rows) {
  for (const auto& [key, value] : training.items()) {
    if (key == "step" || key == "recent_norms") continue;
    std::string name = key;
    std::ranges::replace(name, '_', ' ');
    if (key == "tokens" || key == "optimizer_steps") {
      rows.push_back({name, with_commas(value.get<std::int64_t>())});
    } else if (key == "seconds") {
      rows.push_back({"time spent training", duration_text(value.get<double>())});
    } else if (key == "forked_from") {
      rows.push_back({name, "step " + value.at("step").dump() + " of " +
                                value.at("checkpoint").get<std::string>()});
    } else {
      rows.push_back({name, value.dump()});
    }
  }
}

void print(const Contents& contents, bool tensors) {
  const auto& [folder, config, manifest, format_version, written] = contents;
  const auto& model = config.model;
  Rows rows = {{"checkpoint", folder.string()},
               {"step", step_text(contents)},
               {"written", written},
               {"format version", std::to_string(format_version)},
               {"run", config.run.name + " in " + config.run.dir.string()},
               {"model", with_suffix(static_cast<double>(count_parameters(model).total())) +
                             " parameters: " + std::to_string(model.num_hidden_layers()) +
                             " layers of width " + std::to_string(model.hidden_size) +
                             ", vocabulary " + with_commas(model.vocab_size)},
               {"layers", layout_in_words(model)},
               {"precision", name_of(config.train.precision)},
               {"sequence length", with_commas(config.data.sequence_length)},
               {"tensors", with_commas(static_cast<std::int64_t>(manifest.tensors.size()))},
               {"groups", groups_text(manifest)},
               {"size", with_byte_unit(static_cast<double>(bytes_of(manifest))) + " in " +
                            std::to_string(manifest.files.size()) + " files"}};
  if (manifest.training.is_object()) add_training_rows(manifest.training, rows);
  std::cout << text_table(rows);

  Rows files = {{"file", "size", "hash"}};
  for (const auto& [name, record] : manifest.files)
    files.push_back({name, with_byte_unit(static_cast<double>(record.size)), record.hash});
  std::cout << "\n" << text_table(files, "lrl");
  if (!tensors) return;

  Rows table = {{"tensor", "shape", "fragments"}};
  for (const auto& [name, tensor] : manifest.tensors)
    table.push_back({name, shape_text(tensor.shape), std::to_string(tensor.fragments.size())});
  std::cout << "\n" << text_table(table, "llr");
}

Json to_json(const Contents& contents, bool tensors) {
  const auto& [folder, config, manifest, format_version, written] = contents;
  Json json = {{"checkpoint", folder.string()},
               {"step", manifest.step},
               {"written", written},
               {"format_version", format_version},
               {"run", {{"name", config.run.name}, {"dir", config.run.dir.string()}}},
               {"parameters", count_parameters(config.model).total()},
               {"attention_pattern", pattern_of(config.model.layers)},
               {"precision", name_of(config.train.precision)},
               {"bytes", bytes_of(manifest)},
               {"training", manifest.training},
               {"groups", Json::object()},
               {"files", Json::object()}};
  for (const auto& [group, parts] : parts_by_group(manifest)) json["groups"][group] = parts;
  for (const auto& [name, record] : manifest.files)
    json["files"][name] = {{"size", record.size}, {"hash", record.hash}};
  if (!tensors) return json;
  json["tensors"] = Json::object();
  for (const auto& [name, tensor] : manifest.tensors) {
    json["tensors"][name] = {{"shape", tensor.shape}, {"fragments", Json::array()}};
    for (const auto& [part, begin, end] : tensor.fragments)
      json["tensors"][name]["fragments"].push_back({part, begin, end});
  }
  return json;
}

void run_show(const ShowOptions& options) {
  const auto contents = read_contents(options.run_or_checkpoint);
  if (options.json) {
    std::cout << to_json(contents, options.tensors).dump(2) << "\n";
  } else {
    print(contents, options.tensors);
  }
}

}  // namespace

void add_checkpoint_show_command(CLI::App& checkpoint) {
  CLI::App* command =
      checkpoint.add_subcommand("show", "What a checkpoint holds: model, training state, files");
  const auto options = std::make_shared<ShowOptions>();
  command
      ->add_option("RUN_OR_CHECKPOINT", options->run_or_checkpoint,
                   "Run folder (RUN, RUN@step, RUN@best) or checkpoint folder")
      ->required();
  command->add_flag("--tensors", options->tensors, "Also every tensor with its shape");
  command->add_flag("--json", options->json, "Print JSON");
  command->footer("Example: zebra checkpoint show runs/tiny@best --tensors");
  command->callback([options] { run_show(*options); });
}

}  // namespace zebra
