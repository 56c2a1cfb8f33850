#include "config/model_base.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/message.h"
#include "config/catalogue.h"
#include "config/value.h"
#include "config/yaml.h"

namespace zebra {
namespace {

constexpr const char* kKey = "model.init_from";

bool is_given(const Value& map, const char* key) {
  const Entry* entry = map.find(key);
  return entry != nullptr && entry->value.kind != Value::Kind::null;
}

void remove(Value& map, const std::string& key) {
  std::erase_if(map.entries, [&](const Entry& entry) { return entry.key == key; });
}

// Every key that a resolved file always holds.
bool spells_out_everything(const Value& model) {
  if (!is_given(model, "attention_pattern")) return false;
  const KeyInfo& section = *catalogue().find("model");
  return std::ranges::all_of(section.children, [&](const KeyInfo& key) {
    const bool always_written = key.rules.default_note.empty();
    return !always_written || model.find(key.name) != nullptr;
  });
}

// The run's or checkpoint's config.yaml: RUN, RUN@200 and a checkpoint's folder all have one.
std::filesystem::path config_of(const std::string& path) {
  const auto file_in = [](const std::string& folder) {
    return std::filesystem::path(folder) / "config.yaml";
  };
  std::error_code ignored;
  if (const auto at = path.rfind('@');
      at != std::string::npos && !std::filesystem::is_directory(path, ignored)) {
    return file_in(path.substr(0, at));
  }
  return file_in(path);
}

std::string unreadable(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(config_of(path).parent_path(), ignored))
    return "\"" + path + "\" does not exist; give a run or checkpoint folder";
  if (std::filesystem::exists(std::filesystem::path(path) / "config.json", ignored)) {
    return "\"" + path +
           "\" is a HuggingFace folder; make a checkpoint of it first: zebra import " +
           shell_word(path) + " --output DIR";
  }
  return "\"" + path + "\" is no run or checkpoint folder: it has no config.yaml";
}

// What of the origin's model section the new run takes over.
Value inherited(Value base, const Value& given) {
  remove(base, "init_from");
  remove(base, "window_schedule");  // a part of that training, not of the model
  for (const auto* key :
       {"attention_pattern", "self_attn_type", "layer_group_size", "global_layer"})
    if (is_given(given, key)) remove(base, "attention_pattern");

  const Entry* scaling = given.find("rope_scaling");
  const Entry* longest = base.find("max_position_embeddings");
  if (scaling == nullptr || scaling->value.kind != Value::Kind::map || longest == nullptr)
    return base;
  Entry* base_scaling = base.find("rope_scaling");
  if (base_scaling != nullptr && !is_given(base_scaling->value, "original_max_position_embeddings"))
    base_scaling->value.entries.push_back(
        {"original_max_position_embeddings", longest->origin, longest->value});
  remove(base, "max_position_embeddings");
  return base;
}

/// The preset's keys below the given ones. An unknown preset is reported where its key is read; the
/// sizes that it would have given are then not missed.
Value on_top_of_preset(const Value& given, Report& report) {
  const Entry* model = given.find("model");
  const Entry* name = model == nullptr ? nullptr : model->value.find("preset");
  if (name == nullptr || name->value.kind == Value::Kind::null) return given;
  const Preset* preset = nullptr;
  try {
    preset = find_preset(expand_variables(name->value.scalar));
  } catch (const InputError&) {
  }
  if (preset == nullptr) {
    report.mark_unsound("model");
    return given;
  }
  Value base = parse_yaml(preset->yaml, "preset " + preset->name, false);
  merge(base, given);
  return base;
}

Value on_top_of_initial_model(const Value& given, Report& report) {
  const Entry* model = given.find("model");
  if (model == nullptr || !is_given(model->value, "init_from")) return given;
  report.locate(kKey, model->value.find("init_from")->origin);
  if (is_given(model->value, "preset")) {
    report.problem(kKey, "and model.preset both give the model's shape; remove one of them");
    return given;
  }
  if (spells_out_everything(model->value)) return given;

  std::string path = model->value.find("init_from")->value.scalar;
  Value root;
  try {
    path = expand_home(expand_variables(path));
    root = parse_yaml(read_text_input(config_of(path)), "model of " + path, false);
  } catch (const InputError&) {
    report.problem(kKey, unreadable(path));
    report.mark_unsound("model");
    return given;
  }
  Value base;
  base.kind = Value::Kind::map;
  if (const Entry* section = root.find("model"); section != nullptr)
    base.entries.push_back({"model", section->origin, inherited(section->value, model->value)});
  merge(base, given);
  return base;
}

}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> kPresets = {
      {"zebra-tiny",
       "model: {hidden_size: 128, intermediate_size: 352, num_hidden_layers: 6,\n"
       "        num_attention_heads: 4, num_key_value_heads: 2,\n"
       "        self_attn_type: mix, layer_group_size: 3, window_size: 64}\n",
       "Trains on a CPU in minutes (2.2M parameters with 4,096 tokens): for first steps and for "
       "tests."},
      {"zebra-125m",
       "model: {hidden_size: 768, intermediate_size: 2048, num_hidden_layers: 12,\n"
       "        num_attention_heads: 12,\n"
       "        self_attn_type: mix, layer_group_size: 4, window_size: 512}\n",
       "The smallest size at which comparisons of layouts mean something."},
      {"zebra-350m",
       "model: {hidden_size: 1024, intermediate_size: 2816, num_hidden_layers: 24,\n"
       "        num_attention_heads: 16,\n"
       "        self_attn_type: mix, layer_group_size: 4, window_size: 512}\n",
       "Fits a single GPU with room for long sequences."},
      {"zebra-1.3b",
       "model: {hidden_size: 2048, intermediate_size: 5632, num_hidden_layers: 24,\n"
       "        num_attention_heads: 16,\n"
       "        self_attn_type: mix, layer_group_size: 4, window_size: 512}\n",
       "Heads of 128, as in the 7B shape."},
      {"zebra-7b",
       "model: {hidden_size: 4096, intermediate_size: 11008, num_hidden_layers: 32,\n"
       "        num_attention_heads: 32, vocab_size: 32000, rms_norm_eps: 1.0e-5,\n"
       "        self_attn_type: mix, layer_group_size: 4, window_size: 512}\n",
       "The shape of Llama-2-7B, and of the published Zebra."},
  };
  return kPresets;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : presets()) names.push_back(preset.name);
  return names;
}

const Preset* find_preset(const std::string& name) {
  const auto found = std::ranges::find(presets(), name, &Preset::name);
  return found == presets().end() ? nullptr : &*found;
}

Value on_top_of_base_model(const Value& given, Report& report) {
  return on_top_of_initial_model(on_top_of_preset(given, report), report);
}

}  // namespace zebra
