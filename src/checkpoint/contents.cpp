#include "checkpoint/contents.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "checkpoint/inventory.h"
#include "config/model_config.h"
#include "config/names.h"
#include "plan/model_cost.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

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
  return std::string("[").append(join(sizes, ", ")).append("]");
}

std::string groups_text(const Manifest& manifest) {
  std::vector<std::string> groups;
  for (const auto& [group, shards] : shards_by_group(manifest))
    groups.push_back(group + " in " + std::to_string(shards.size()) +
                     (shards.size() == 1 ? " part" : " parts"));
  return join(groups, ", ");
}

// An imported model has no steps to come.
std::string step_text(const CheckpointContents& contents) {
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
    } else if (key == "averaged_from") {
      for (const Json& part : value)
        rows.push_back(
            {&part == &value.front() ? name : "",
             "step " + part.at("step").dump() + " of " + part.at("checkpoint").get<std::string>()});
    } else {
      rows.push_back({name, value.dump()});
    }
  }
}

std::string model_text(const ModelConfig& model) {
  return with_suffix(static_cast<double>(count_parameters(model).total())) +
         " parameters: " + std::to_string(model.num_hidden_layers()) + " layers of width " +
         std::to_string(model.hidden_size) + ", vocabulary " + with_commas(model.vocab_size);
}

}  // namespace

std::uint64_t CheckpointContents::bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, record] : manifest.files) bytes += record.size;
  return bytes;
}

CheckpointContents read_checkpoint_contents(const std::string& run_or_checkpoint) {
  Checkpoint checkpoint(find_checkpoint(run_or_checkpoint));
  const auto path = checkpoint.folder() / Manifest::kFileName;
  const std::string text = read_file(path);
  return {checkpoint.folder(), checkpoint.config(), Manifest::from_text(text, path),
          Json::parse(text).at("format_version").get<std::int64_t>(), written_text(path)};
}

std::string contents_text(const CheckpointContents& contents, bool tensors) {
  const auto& [folder, config, manifest, format_version, written] = contents;
  Rows rows = {{"checkpoint", folder.string()},
               {"step", step_text(contents)},
               {"written", written},
               {"format version", std::to_string(format_version)},
               {"run", config.run.name + " in " + config.run.dir.string()},
               {"model", model_text(config.model)},
               {"layers", layout_in_words(config.model)},
               {"precision", name_of(config.train.precision)},
               {"sequence length", with_commas(config.data.sequence_length)},
               {"tensors", with_commas(static_cast<std::int64_t>(manifest.tensors.size()))},
               {"groups", groups_text(manifest)},
               {"size", with_byte_unit(static_cast<double>(contents.bytes())) + " in " +
                            std::to_string(manifest.files.size()) + " files"}};
  if (manifest.training.is_object()) add_training_rows(manifest.training, rows);

  Rows files = {{"file", "size", "hash"}};
  for (const auto& [name, record] : manifest.files)
    files.push_back({name, with_byte_unit(static_cast<double>(record.size)), record.hash});
  const std::string text = text_table(rows) + "\n" + text_table(files, "lrl");
  if (!tensors) return text;

  Rows table = {{"tensor", "shape", "fragments"}};
  for (const auto& [name, tensor] : manifest.tensors)
    table.push_back({name, shape_text(tensor.shape), std::to_string(tensor.fragments.size())});
  return text + "\n" + text_table(table, "llr");
}

Json contents_json(const CheckpointContents& contents, bool tensors) {
  const auto& [folder, config, manifest, format_version, written] = contents;
  Json groups = Json::object(), files = Json::object();
  for (const auto& [group, shards] : shards_by_group(manifest)) groups[group] = shards;
  for (const auto& [name, record] : manifest.files)
    files[name] = {{"size", record.size}, {"hash", record.hash}};
  Json json = {{"checkpoint", folder.string()},
               {"step", manifest.step},
               {"written", written},
               {"format_version", format_version},
               {"run", {{"name", config.run.name}, {"dir", config.run.dir.string()}}},
               {"parameters", count_parameters(config.model).total()},
               {"attention_pattern", pattern_of(config.model.layers)},
               {"precision", name_of(config.train.precision)},
               {"bytes", contents.bytes()},
               {"training", manifest.training},
               {"groups", groups},
               {"files", files}};
  if (!tensors) return json;
  json["tensors"] = Json::object();
  for (const auto& [name, record] : manifest.tensors) json["tensors"][name] = to_json(record);
  return json;
}

}  // namespace zebra
