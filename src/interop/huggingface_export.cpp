#include "interop/huggingface_export.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "model/layout.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

const char* rope_type(RopeScaling type) {
  switch (type) {
    case RopeScaling::linear:
      return "linear";
    case RopeScaling::dynamic:
      return "dynamic";
    case RopeScaling::yarn:
      return "yarn";
    case RopeScaling::none:
      break;
  }
  return "default";
}

// The scaling's own values, under the names that both spellings share.
Json rope_values(const RopeScalingSection& scaling) {
  Json values = {{"rope_type", rope_type(scaling.type)}};
  if (scaling.type == RopeScaling::none) return values;
  values["factor"] = scaling.factor;
  if (scaling.original_max_position_embeddings) {
    values["original_max_position_embeddings"] = *scaling.original_max_position_embeddings;
  }
  if (scaling.type == RopeScaling::yarn) {
    values["beta_fast"] = scaling.beta_fast;
    values["beta_slow"] = scaling.beta_slow;
  }
  if (scaling.layers == ScaledLayers::global) values["layers"] = "global";
  return values;
}

void add_rope(Json& json, const ModelSection& model) {
  json["rope_theta"] = model.rope_theta;
  json["rope_scaling"] = nullptr;
  if (model.rope_scaling.type != RopeScaling::none) {
    json["rope_scaling"] = rope_values(model.rope_scaling);
    json["rope_scaling"]["type"] =
        rope_type(model.rope_scaling.type);  // the key before transformers 4.43
  }
  json["rope_parameters"] = rope_values(model.rope_scaling);
  json["rope_parameters"]["rope_theta"] = model.rope_theta;
}

void add_layers(Json& json, const ModelSection& model) {
  Json types = Json::array();
  bool any_local = false;
  for (const auto kind : layer_kinds(model)) {
    any_local = any_local || kind == LayerKind::local;
    types.push_back(kind == LayerKind::global ? "full_attention" : "sliding_attention");
  }
  json["layer_types"] = types;
  if (any_local) json["sliding_window"] = model.window_size.value() + 1;
  json["attention_pattern"] = model.attention_pattern.value();
  if (any_local) json["window_size"] = model.window_size.value();
  if (model.global_rope_theta) json["global_rope_theta"] = *model.global_rope_theta;
  if (model.local_rope_theta) json["local_rope_theta"] = *model.local_rope_theta;
  if (model.qk_norm) json["qk_norm"] = true;
  if (model.attention_sink) json["attention_sink"] = true;
}

std::vector<NamedValues> exported_tensors(ZebraModel& model) {
  std::vector<NamedValues> tensors;
  for (const auto& unit : model->units()) {
    for (const auto& parameter : unit.parameters) {
      const auto flat = parameter.tensor.detach().view({-1});
      std::int64_t begin = 0;
      for (const auto& part : parameter.parts) {
        tensors.push_back({part.name, flat.narrow(0, begin, part.numel()).view(part.shape)});
        begin += part.numel();
      }
    }
  }
  return tensors;
}

}  // namespace

std::string huggingface_config(const Config& config, const Tokenizer& tokenizer) {
  const auto& model = config.model;
  Json json = {{"architectures", {"ZebraForCausalLM"}},
               {"model_type", "zebra"},
               {"hidden_act", "silu"},
               {"hidden_size", model.hidden_size},
               {"intermediate_size", model.intermediate_size},
               {"num_hidden_layers", model.num_hidden_layers},
               {"num_attention_heads", model.num_attention_heads},
               {"num_key_value_heads", model.num_key_value_heads.value()},
               {"head_dim", model.head_dim.value()},
               {"vocab_size", model.vocab_size.value()},
               {"max_position_embeddings", model.max_position_embeddings.value()},
               {"rms_norm_eps", model.rms_norm_eps},
               {"initializer_range", model.initializer_range},
               {"attention_bias", false},
               {"mlp_bias", false},
               {"attention_dropout", 0.0},
               {"tie_word_embeddings", model.tie_word_embeddings},
               {"bos_token_id", tokenizer.bos()},
               {"eos_token_id", tokenizer.eos()},
               {"torch_dtype", config.train.precision == Precision::bf16 ? "bfloat16" : "float32"},
               {"use_cache", true}};
  add_rope(json, model);
  add_layers(json, model);
  return json.dump(2) + "\n";
}

void export_huggingface(const Config& config, ZebraModel& model, const Tokenizer& tokenizer,
                        const std::filesystem::path& output) {
  const auto folder = folder_path(output);
  if (std::filesystem::exists(folder)) {
    throw InputError(folder.string() + ": exists already; name a new folder or remove it first");
  }
  const std::filesystem::path beside = folder.string() + ".partial-" + std::to_string(::getpid());
  try {
    std::filesystem::create_directories(beside);
    write_file_atomically(beside / "config.json", huggingface_config(config, tokenizer));
    write_safetensors(beside / "model.safetensors", exported_tensors(model));
    write_file_atomically(beside / "tokenizer.model", read_file(tokenizer.path()));
    std::filesystem::rename(beside, folder);
  } catch (const std::exception& error) {
    std::error_code ignored;
    std::filesystem::remove_all(beside, ignored);
    throw RunError(folder.string() + ": cannot write the export: " + error.what());
  }
}

}  // namespace zebra
