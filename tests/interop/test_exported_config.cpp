#include "interop/exported_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "config/load.h"
#include "support/catch.h"

namespace zebra {
namespace {

using Json = nlohmann::json;

ModelConfig section_with(const std::vector<std::string>& overrides) {
  std::vector<std::string> all = {"data.sequence_length=64"};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return resolve(parse_run_file(
                     "run: {dir: unused}\n"
                     "model: {hidden_size: 32, intermediate_size: 64, num_hidden_layers: 3, "
                     "vocab_size: "
                     "300,\n"
                     "        num_attention_heads: 4, num_key_value_heads: 2, layer_group_size: 2, "
                     "window_size: 7}\n"
                     "data: {tokenizer: unused, train: [{path: unused}]}\n"
                     "train: {max_steps: 1, global_batch_size: 1}\n",
                     "test.yaml", all))
      .model;
}

std::string type_of(const std::vector<std::string>& overrides) {
  return name_of(exported_architecture(section_with(overrides)));
}

Json config_of(const std::vector<std::string>& overrides) {
  Config config;
  config.model = section_with(overrides);
  return Json::parse(exported_config(config, {1, 2}));
}

const std::string kAllGlobal = "model.self_attn_type=full",
                  kAllLocal = "model.self_attn_type=local";
const std::string kYarn =
    "model.rope_scaling={type: yarn, factor: 4, original_max_position_embeddings: 16}";
const std::string kLlama3 =
    "model.rope_scaling={type: llama3, factor: 8, original_max_position_embeddings: 16, "
    "low_freq_factor: 1.5}";
const std::string kScalesGlobal = "model.rope_scaling.layers=global",
                  kSinks = "model.attention_sink=true", kQkNorm = "model.qk_norm=true",
                  kOlmo = "model={norm_placement: reordered, qk_norm: projection}";

TEST_CASE("a stock architecture is named where one holds the model exactly") {
  REQUIRE(type_of({}) == "cwm");
  REQUIRE(type_of({kAllGlobal}) == "llama");
  REQUIRE(type_of({kAllLocal}) == "mistral");
  REQUIRE(type_of({"model.window_size=500"}) == "cwm");
  REQUIRE(type_of({"model.tie_word_embeddings=true", "model.rope_theta=5e5"}) == "cwm");
  REQUIRE(type_of({"model.rope_scaling={type: linear, factor: 2}"}) == "cwm");
  REQUIRE(type_of({kYarn}) == "cwm");
  REQUIRE(type_of({kAllGlobal, kYarn}) == "llama");
  // What no layer uses does not count.
  REQUIRE(type_of({kAllGlobal, "model.local_rope_theta=0"}) == "llama");
  REQUIRE(type_of({kAllGlobal, "model.attention_sink=true"}) == "llama");
  REQUIRE(type_of({kAllGlobal, kLlama3}) == "llama");
  REQUIRE(type_of({kLlama3}) == "cwm");
  REQUIRE(type_of({kAllGlobal, "model.window_size=0"}) == "llama");
  REQUIRE(type_of({kAllGlobal, "model.global_rope_theta=500"}) == "llama");
  REQUIRE(type_of({kAllLocal, kYarn, "model.rope_scaling.layers=global"}) == "mistral");
  REQUIRE(type_of({"model.global_rope_theta=500", "model.local_rope_theta=500"}) == "cwm");
}

TEST_CASE("granite_swa is named for sinks, and for thetas by kind of layer") {
  REQUIRE(type_of({kSinks}) == "granite_swa");
  REQUIRE(type_of({kAllLocal, kSinks}) == "granite_swa");
  REQUIRE(type_of({"model.attention_sink=all"}) == "granite_swa");
  REQUIRE(type_of({kAllGlobal, "model.attention_sink=all"}) == "granite_swa");
  REQUIRE(type_of({"model.global_rope_theta=500"}) == "granite_swa");
  REQUIRE(type_of({"model.local_rope_theta=500", kYarn}) == "granite_swa");
  REQUIRE(type_of({"model.global_rope_theta=0", "model.local_rope_theta=0"}) == "granite_swa");
  REQUIRE(type_of({kAllGlobal, "model.global_rope_theta=0"}) == "granite_swa");
  // The scaling of layers that do not rotate does not count.
  REQUIRE(type_of({kYarn, kScalesGlobal, "model.local_rope_theta=0"}) == "granite_swa");
  // llama and cwm want heads that divide the width, mistral does not.
  const std::string six = "model={num_attention_heads: 6, head_dim: 8}";
  REQUIRE(type_of({six}) == "granite_swa");
  REQUIRE(type_of({six, kAllGlobal}) == "granite_swa");
  REQUIRE(type_of({six, kAllLocal}) == "mistral");
}

TEST_CASE("qwen3 and olmo3 are named for their norms") {
  REQUIRE(type_of({kQkNorm}) == "qwen3");
  REQUIRE(type_of({kAllGlobal, kQkNorm}) == "qwen3");
  REQUIRE(type_of({kAllLocal, kQkNorm, kYarn}) == "qwen3");
  REQUIRE(type_of({kOlmo}) == "olmo3");
  REQUIRE(type_of({kOlmo, kYarn, kScalesGlobal}) == "olmo3");
  REQUIRE(type_of({kOlmo, kYarn}) == "olmo3");
  REQUIRE(type_of({kOlmo, "model.local_rope_theta=500"}) == "olmo3");
}

TEST_CASE("our own architecture is named for everything else") {
  REQUIRE(type_of({kYarn, kScalesGlobal}) == "zebra");
  REQUIRE(type_of({kQkNorm, kSinks}) == "zebra");
  REQUIRE(type_of({kQkNorm, "model.global_rope_theta=0"}) == "zebra");
  REQUIRE(type_of({kQkNorm, "model.local_rope_theta=500"}) == "zebra");
  REQUIRE(type_of({"model.qk_norm=projection"}) == "zebra");
  REQUIRE(type_of({"model.norm_placement=reordered"}) == "zebra");
  REQUIRE(type_of({"model.norm_placement=reordered", kQkNorm}) == "zebra");
  REQUIRE(type_of({kOlmo, kSinks}) == "zebra");
  REQUIRE(type_of({kOlmo, "model.global_rope_theta=0"}) == "zebra");
  REQUIRE(type_of({"model.window_size=0"}) == "zebra");
  REQUIRE(type_of({"model.rope_scaling={type: dynamic, factor: 2, "
                   "original_max_position_embeddings: 16}"}) == "zebra");
}

TEST_CASE("config.json has the keys of its architecture and counts the window HuggingFace's way") {
  auto json = config_of({});
  REQUIRE(json["architectures"] == Json({"CwmForCausalLM"}));
  REQUIRE(json["sliding_window"] == 8);
  REQUIRE(json["layer_types"] == Json({"full_attention", "sliding_attention", "full_attention"}));
  REQUIRE(json["num_key_value_heads"] == 2);
  REQUIRE(json["head_dim"] == 8);
  REQUIRE(json["vocab_size"] == 300);
  REQUIRE(json["bos_token_id"] == 1);
  REQUIRE(json["eos_token_id"] == Json({2}));
  REQUIRE(json["rope_scaling"].is_null());
  REQUIRE(json["rope_parameters"] == Json({{"rope_type", "default"}, {"rope_theta", 1e4}}));
  REQUIRE_FALSE(json.contains("auto_map"));

  json = config_of({kAllGlobal});
  REQUIRE(json["architectures"] == Json({"LlamaForCausalLM"}));
  REQUIRE_FALSE(json.contains("sliding_window"));
  REQUIRE_FALSE(json.contains("layer_types"));
  json = config_of({kQkNorm});
  REQUIRE(json["architectures"] == Json({"Qwen3ForCausalLM"}));
  REQUIRE(json["use_sliding_window"] == true);
  REQUIRE(json["sliding_window"] == 8);
  REQUIRE(json["layer_types"][1] == "sliding_attention");
  REQUIRE(config_of({kQkNorm, kAllGlobal})["use_sliding_window"] == false);
  json = config_of({kAllLocal});
  REQUIRE(json["architectures"] == Json({"MistralForCausalLM"}));
  REQUIRE(json["sliding_window"] == 8);
  REQUIRE_FALSE(json.contains("layer_types"));
}

TEST_CASE("config.json spells rope both ways, with the theta and scaling of the layers there are") {
  auto json = config_of({kYarn, "model.rope_theta=5.0e+5"});
  REQUIRE(json["rope_theta"] == 5e5);
  REQUIRE(json["rope_scaling"]["type"] == "yarn");
  REQUIRE(json["rope_scaling"]["rope_type"] == "yarn");
  REQUIRE(json["rope_scaling"]["factor"] == 4.0);
  REQUIRE(json["rope_parameters"]["rope_theta"] == 5e5);
  REQUIRE(json["rope_parameters"]["original_max_position_embeddings"] == 16);
  REQUIRE(json["rope_parameters"]["beta_fast"] == 32.0);

  json = config_of(
      {kAllLocal, kYarn, "model.rope_scaling.layers=global", "model.local_rope_theta=500"});
  REQUIRE(json["rope_theta"] == 500);
  REQUIRE(json["rope_scaling"].is_null());
  REQUIRE(json["rope_parameters"] == Json({{"rope_type", "default"}, {"rope_theta", 500.0}}));
}

TEST_CASE("the config.json of granite_swa has its multipliers and a base for each layer") {
  const auto json = config_of({kSinks, "model.global_rope_theta=0", "model.local_rope_theta=500"});
  REQUIRE(json["architectures"] == Json({"GraniteSWAForCausalLM"}));
  REQUIRE(json["layer_rope_theta"] == Json({0.0, 500.0, 0.0}));
  REQUIRE(json["rope_parameters"] == Json({{"rope_type", "default"}, {"rope_theta", 500.0}}));
  REQUIRE(json["attention_multiplier"].get<double>() == Approx(1 / std::sqrt(8.0)));
  for (const char* key : {"embedding_multiplier", "residual_multiplier", "logits_scaling"})
    REQUIRE(json[key] == 1.0);
  REQUIRE(json["sliding_window"] == 8);
  REQUIRE(json["tie_word_embeddings"] == false);
  const auto none = config_of({"model.global_rope_theta=0", "model.local_rope_theta=0"});
  REQUIRE(none["layer_rope_theta"] == Json({0.0, 0.0, 0.0}));
  REQUIRE(none["rope_parameters"]["rope_theta"] == 1e4);
}

TEST_CASE("the config.json of olmo3 has a map for each kind of layer") {
  auto json = config_of({kOlmo, kYarn, kScalesGlobal});
  const auto& maps = json["rope_parameters"];
  REQUIRE(maps.size() == 2);
  REQUIRE(maps["full_attention"]["rope_type"] == "yarn");
  REQUIRE_FALSE(maps["full_attention"].contains("layers"));
  REQUIRE(maps["sliding_attention"] == Json({{"rope_type", "default"}, {"rope_theta", 1e4}}));
  // The old spelling says the same: it scales full layers alone.
  REQUIRE(json["rope_theta"] == 1e4);
  REQUIRE(json["rope_scaling"]["type"] == "yarn");
  REQUIRE(json["pad_token_id"].is_null());
  // What it cannot say it does not say.
  REQUIRE_FALSE(config_of({kOlmo, "model.local_rope_theta=500"}).contains("rope_theta"));
  REQUIRE_FALSE(config_of({kOlmo, kYarn}).contains("rope_scaling"));
  json = config_of({kOlmo, kAllLocal});
  REQUIRE(json["rope_parameters"].size() == 1);
}

TEST_CASE("llama3 scaling has its bounds in both spellings") {
  const auto json = config_of({kAllGlobal, kLlama3});
  for (const char* spelling : {"rope_parameters", "rope_scaling"}) {
    REQUIRE(json[spelling]["rope_type"] == "llama3");
    REQUIRE(json[spelling]["factor"] == 8.0);
    REQUIRE(json[spelling]["low_freq_factor"] == 1.5);
    REQUIRE(json[spelling]["high_freq_factor"] == 4.0);
    REQUIRE(json[spelling]["original_max_position_embeddings"] == 16);
    REQUIRE_FALSE(json[spelling].contains("beta_fast"));
  }
}

TEST_CASE("our own config.json carries what the model section says") {
  const auto json = config_of({kYarn, "model.rope_scaling.layers=global", "model.qk_norm=true",
                               "model.attention_sink=true", "model.global_rope_theta=0",
                               "model.local_rope_theta=500"});
  REQUIRE(json["auto_map"]["AutoModelForCausalLM"] == "modeling_zebra.ZebraForCausalLM");
  REQUIRE(json["attention_pattern"] == "GLG");
  REQUIRE(json["window_size"] == 7);
  REQUIRE(json["sliding_window"] == 8);
  REQUIRE(json["layer_types"][1] == "sliding_attention");
  REQUIRE(json["rope_theta"] == 1e4);
  REQUIRE(json["global_rope_theta"] == 0);
  REQUIRE(json["local_rope_theta"] == 500);
  REQUIRE(json["qk_norm"] == true);
  REQUIRE(json["attention_sink"] == true);
  REQUIRE(json["rope_scaling"]["layers"] == "global");
  REQUIRE(json["rope_parameters"]["layers"] == "global");
  REQUIRE_FALSE(json.contains("norm_placement"));
  const auto other = config_of(
      {"model.norm_placement=reordered", "model.attention_sink=all", "model.qk_norm=projection"});
  REQUIRE(other["norm_placement"] == "reordered");
  REQUIRE(other["attention_sink"] == "all");
  REQUIRE(other["qk_norm"] == "projection");
}

}  // namespace
}  // namespace zebra
