#include "interop/huggingface_export.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/system.h"
#include "checkpoint/safetensors.h"
#include "config/model_config.h"
#include "data/tokenizer_json_file.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

struct Rope {
  double theta = 0.0;
  RopeScalingConfig scaling;
};

bool alike(const Rope& a, const Rope& b) {
  return a.theta == b.theta && a.scaling.type == b.scaling.type;  // there is one scaling section
}

Rope rope_of(const ModelConfig& model, LayerKind kind) {
  Rope rope = {model.rope_theta_of(kind), model.rope_scaling_of(kind)};
  rope.scaling.layers = ScaledLayers::all;
  return rope;
}

// The rotary embedding of all layers; nothing where the two kinds of layers differ in it.
std::optional<Rope> common_rope(const ModelConfig& model) {
  const auto global = rope_of(model, LayerKind::global), local = rope_of(model, LayerKind::local);
  if (!model.has(LayerKind::local)) return global;
  if (!model.has(LayerKind::global)) return local;
  return alike(global, local) ? std::optional(global) : std::nullopt;
}

bool fits_stock(const ModelConfig& model) {
  const auto rope = common_rope(model);
  if (!rope || rope->theta == 0.0 || rope->scaling.type == RopeScaling::dynamic) return false;
  if (model.qk_norm || model.hidden_size % model.num_attention_heads != 0) return false;
  return !model.has(LayerKind::local) || (!model.attention_sink && model.window_size > 0);
}

// "LlamaForCausalLM" of llama.
std::string class_name(ExportedArchitecture architecture) {
  std::string name = name_of(architecture);
  name.front() = static_cast<char>(std::toupper(name.front()));
  return name + "ForCausalLM";
}

std::string rope_type(RopeScaling type) {
  return type == RopeScaling::none ? "default" : name_of(type);
}

// The scaling's own values, under the names that both spellings share.
Json rope_values(const RopeScalingConfig& scaling) {
  Json values = {{"rope_type", rope_type(scaling.type)}};
  if (scaling.type == RopeScaling::none) return values;
  values["factor"] = scaling.factor;
  if (scaling.type != RopeScaling::linear) {
    values["original_max_position_embeddings"] = scaling.original_max_position_embeddings;
  }
  if (scaling.type == RopeScaling::yarn) {
    values["beta_fast"] = scaling.beta_fast;
    values["beta_slow"] = scaling.beta_slow;
  }
  if (scaling.layers == ScaledLayers::global) values["layers"] = "global";
  return values;
}

void add_rope(Json& json, const Rope& rope) {
  json["rope_theta"] = rope.theta;
  json["rope_scaling"] = nullptr;
  if (rope.scaling.type != RopeScaling::none) {
    json["rope_scaling"] = rope_values(rope.scaling);
    // The key before transformers 4.43.
    json["rope_scaling"]["type"] = rope_type(rope.scaling.type);
  }
  json["rope_parameters"] = rope_values(rope.scaling);
  json["rope_parameters"]["rope_theta"] = rope.theta;
}

void add_zebra_keys(Json& json, const ModelConfig& model) {
  json["auto_map"] = {{"AutoConfig", "modeling_zebra.ZebraConfig"},
                      {"AutoModelForCausalLM", "modeling_zebra.ZebraForCausalLM"}};
  json["attention_pattern"] = pattern_of(model.layers);
  if (model.has(LayerKind::local)) json["window_size"] = model.window_size;
  for (const auto kind : {LayerKind::global, LayerKind::local}) {
    if (model.rope_theta_of(kind) != model.rope_theta)
      json[kind_name(kind) + "_rope_theta"] = model.rope_theta_of(kind);
  }
  if (model.qk_norm) json["qk_norm"] = true;
  if (model.attention_sink) json["attention_sink"] = true;
}

// Llama's body, which all four architectures share.
Json body(const Config& config, ExportedArchitecture architecture, DocumentTokens tokens) {
  const auto& model = config.model;
  const char* type = config.train.precision == Precision::bf16 ? "bfloat16" : "float32";
  return {{"architectures", {class_name(architecture)}},
          {"model_type", name_of(architecture)},
          {"hidden_act", "silu"},
          {"hidden_size", model.hidden_size},
          {"intermediate_size", model.intermediate_size},
          {"num_hidden_layers", model.num_hidden_layers()},
          {"num_attention_heads", model.num_attention_heads},
          {"num_key_value_heads", model.num_key_value_heads},
          {"head_dim", model.head_dim},
          {"vocab_size", model.vocab_size},
          {"max_position_embeddings", model.max_position_embeddings},
          {"rms_norm_eps", model.rms_norm_eps},
          {"initializer_range", model.initializer_range},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"attention_dropout", 0.0},
          {"tie_word_embeddings", model.tie_word_embeddings},
          {"bos_token_id", tokens.bos},
          {"eos_token_id", {tokens.eos}},
          {"dtype", type},
          {"torch_dtype", type},  // the key before transformers 4.56
          {"use_cache", true},
          {"transformers_version", kTransformersVersion}};
}

}  // namespace

ExportedArchitecture exported_architecture(const ModelConfig& model) {
  if (!fits_stock(model)) return ExportedArchitecture::zebra;
  if (!model.has(LayerKind::local)) return ExportedArchitecture::llama;
  return model.has(LayerKind::global) ? ExportedArchitecture::cwm : ExportedArchitecture::mistral;
}

std::string exported_config(const Config& config, DocumentTokens tokens) {
  const auto& model = config.model;
  const auto architecture = exported_architecture(model);
  const bool is_zebra = architecture == ExportedArchitecture::zebra;
  Json json = body(config, architecture, tokens);
  add_rope(json, is_zebra ? Rope{model.rope_theta, model.rope_scaling} : *common_rope(model));
  if (model.has(LayerKind::local)) json["sliding_window"] = model.window_size + 1;
  if (is_zebra || architecture == ExportedArchitecture::cwm) {
    for (const auto kind : model.layers)
      json["layer_types"].push_back(kind == LayerKind::global ? "full_attention"
                                                              : "sliding_attention");
  }
  if (is_zebra) add_zebra_keys(json, model);
  return json.dump(2) + "\n";
}

namespace {

namespace fs = std::filesystem;

// Views of the model's memory: HuggingFace names what we keep packed one by one.
std::vector<NamedValues> exported_tensors(ZebraModel& model) {
  std::vector<NamedValues> tensors;
  for (const auto& unit : model->units()) {
    for (const auto& parameter : unit.parameters) {
      const auto flat = parameter.tensor.detach().view({-1});
      std::int64_t begin = 0;
      for (const auto& part : parameter.spec.parts) {
        tensors.push_back({part.name, flat.narrow(0, begin, part.numel()).view(part.shape)});
        begin += part.numel();
      }
    }
  }
  return tensors;
}

std::vector<std::vector<NamedValues>> in_shards(const std::vector<NamedValues>& tensors,
                                                std::int64_t shard_bytes) {
  std::vector<std::vector<NamedValues>> shards(1);
  std::int64_t bytes = 0;
  for (const auto& tensor : tensors) {
    const auto own = static_cast<std::int64_t>(tensor.values.nbytes());
    if (bytes + own > shard_bytes && !shards.back().empty()) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(tensor);
    bytes += own;
  }
  return shards;
}

std::string shard_name(std::size_t number, std::size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", number, count);
  return name;
}

void write_weights(const fs::path& folder, ZebraModel& model, std::int64_t shard_bytes) {
  const auto shards = in_shards(exported_tensors(model), shard_bytes);
  if (shards.size() == 1) {
    write_safetensors(folder / "model.safetensors", shards.front());
    return;
  }
  std::uint64_t total = 0;
  Json file_of = Json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i + 1, shards.size());
    write_safetensors(folder / name, shards[i]);
    for (const auto& tensor : shards[i]) {
      file_of[tensor.name] = name;
      total += tensor.values.nbytes();
    }
  }
  const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", file_of}};
  write_file_atomically(folder / "model.safetensors.index.json", index.dump(2) + "\n");
}

// The text of generation_config.json: where text begins and ends, greedy unless told otherwise.
std::string generation_config(DocumentTokens tokens, std::int32_t padding,
                              const ChatRenderer* chat) {
  std::vector<std::int32_t> ends = {tokens.eos};
  if (chat != nullptr && chat->end_token() >= 0 && chat->end_token() != tokens.eos)
    ends.push_back(chat->end_token());
  const Json json = {{"bos_token_id", tokens.bos},
                     {"eos_token_id", ends},
                     {"pad_token_id", padding},  // rows of a batch that have ended
                     {"do_sample", false},
                     {"transformers_version", kTransformersVersion}};
  return json.dump(2) + "\n";
}

// The text of tokenizer_config.json for a tokenizer.json that has none beside it.
std::string plain_tokenizer_config(const TokenizerJson& file, std::int64_t longest) {
  const auto text_of = [&file](std::int32_t id) -> std::string {
    for (const auto& token : file.added_tokens)
      if (token.id == id) return token.content;
    for (const auto& [text, own] : file.vocabulary)
      if (own == id) return text;
    return "";
  };
  const Json json = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                     {"bos_token", text_of(file.bos)},
                     {"eos_token", text_of(file.eos)},
                     {"pad_token", text_of(file.pad)},
                     {"clean_up_tokenization_spaces", false},
                     {"model_max_length", longest}};
  return json.dump(2) + "\n";
}

// A tokenizer.json leaves as it came.
void write_tokenizer_json(const fs::path& folder, const Config& config, const Tokenizer& tokenizer,
                          DocumentTokens tokens, const ChatRenderer* chat) {
  const auto file = read_tokenizer_json(tokenizer.files(), tokenizer.path().string());
  write_file_atomically(folder / "generation_config.json",
                        generation_config(tokens, file.pad, chat));
  if (!tokenizer.files().contains(kTokenizerConfigFile)) {
    write_file_atomically(folder / kTokenizerConfigFile,
                          plain_tokenizer_config(file, config.model.max_position_embeddings));
  }
}

void write_tokenizer(const fs::path& folder, const Config& config, const Tokenizer& tokenizer,
                     DocumentTokens tokens, const ChatRenderer* chat) {
  for (const auto& [name, bytes] : tokenizer.files()) write_file_atomically(folder / name, bytes);
  if (chat != nullptr) write_file_atomically(folder / "chat_template.jinja", chat->jinja());
  if (!tokenizer.files().contains(kSentencePieceFile)) {
    write_tokenizer_json(folder, config, tokenizer, tokens, chat);
    return;
  }
  const auto model = read_sentencepiece_model(tokenizer.path());
  write_file_atomically(folder / "generation_config.json",
                        generation_config(tokens, padding_token(model, tokens), chat));
  const auto longest = config.model.max_position_embeddings;
  write_file_atomically(folder / "tokenizer_config.json",
                        tokenizer_config_json(model, tokens, longest, chat != nullptr));
  const std::string obstacle = obstacle_to_tokenizer_json(model);
  if (obstacle.empty()) {
    write_file_atomically(folder / "tokenizer.json", tokenizer_json(model, tokens));
  } else {
    log_warning("no tokenizer.json is written, because " + obstacle +
                "; programs that need one must convert tokenizer.model by themselves");
  }
}

void write_export(const fs::path& folder, const Config& config, ZebraModel& model,
                  const Tokenizer& tokenizer, std::int64_t shard_bytes, const ChatRenderer* chat) {
  const DocumentTokens tokens = {tokenizer.bos(), tokenizer.eos()};
  write_file_atomically(folder / "config.json", exported_config(config, tokens));
  if (exported_architecture(config.model) == ExportedArchitecture::zebra) {
    // The last word of the command that would run it is its path.
    const auto script = python_command("huggingface/modeling_zebra.py", {}).back();
    write_file_atomically(folder / "modeling_zebra.py", read_file(script));
  }
  write_tokenizer(folder, config, tokenizer, tokens, chat);
  write_weights(folder, model, shard_bytes);
  flush_to_disk(folder);
}

}  // namespace

void require_new_export(const fs::path& folder) {
  if (!fs::exists(folder)) return;
  throw InputError(folder.string() + ": exists already; name a new folder or remove it first");
}

void export_huggingface(const Config& config, ZebraModel& model, const Tokenizer& tokenizer,
                        const fs::path& output, std::int64_t shard_bytes,
                        const ChatRenderer* chat) {
  const auto folder = folder_path(output);
  require_new_export(folder);
  const auto beside = partial_path(folder);
  try {
    fs::create_directories(beside);
    write_export(beside, config, model, tokenizer, shard_bytes, chat);
    fs::rename(beside, folder);
    flush_to_disk(folder.has_parent_path() ? folder.parent_path() : fs::path("."));
  } catch (const std::exception& error) {
    std::error_code ignored;
    fs::remove_all(beside, ignored);
    throw RunError(folder.string() + ": cannot write the export: " + error.what());
  }
}

}  // namespace zebra
