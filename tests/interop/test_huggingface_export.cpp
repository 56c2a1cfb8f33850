#include "interop/huggingface_export.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "support/tensors.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;
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
  REQUIRE(type_of({kAllGlobal, "model.window_size=0"}) == "llama");
  REQUIRE(type_of({kAllGlobal, "model.global_rope_theta=500"}) == "llama");
  REQUIRE(type_of({kAllLocal, kYarn, "model.rope_scaling.layers=global"}) == "mistral");
  REQUIRE(type_of({"model.global_rope_theta=500", "model.local_rope_theta=500"}) == "cwm");
}

TEST_CASE("our own architecture is named for everything else") {
  REQUIRE(type_of({"model.global_rope_theta=500"}) == "zebra");
  REQUIRE(type_of({"model.local_rope_theta=500"}) == "zebra");
  REQUIRE(type_of({"model.global_rope_theta=0", "model.local_rope_theta=0"}) == "zebra");
  REQUIRE(type_of({kAllGlobal, "model.global_rope_theta=0"}) == "zebra");
  REQUIRE(type_of({kYarn, "model.rope_scaling.layers=global"}) == "zebra");
  REQUIRE(type_of({"model.qk_norm=true"}) == "zebra");
  REQUIRE(type_of({kAllGlobal, "model.qk_norm=true"}) == "zebra");
  REQUIRE(type_of({"model.attention_sink=true"}) == "zebra");
  REQUIRE(type_of({"model.window_size=0"}) == "zebra");
  REQUIRE(type_of({"model.num_attention_heads=6", "model.head_dim=8"}) == "zebra");
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
}

struct TinyModel {
  explicit TinyModel(const std::vector<std::string>& overrides = {}) {
    make_tiny_data(folder);
    config = tiny_run(folder, overrides);
    model = ZebraModel(config.model);
    model->initialize(4);
    tokenizer = std::make_unique<Tokenizer>(folder / "tok.model");
  }

  void write(const std::string& name, std::int64_t shard_bytes = kDefaultShardBytes) {
    export_huggingface(config, model, *tokenizer, folder / name, shard_bytes);
  }

  TemporaryFolder folder;
  Config config;
  ZebraModel model{nullptr};
  std::unique_ptr<Tokenizer> tokenizer;
};

TEST_CASE("the exported tensors are the model's rows under Llama's names") {
  TinyModel tiny;
  tiny.write("out");
  const SafetensorsFile file(tiny.folder / "out/model.safetensors");
  REQUIRE(file.names().size() == 3 + 3 * 9);
  const auto& qkv = tiny.model->blocks[1]->attention->qkv_weight;
  REQUIRE(same_bits(file.tensor("model.layers.1.self_attn.k_proj.weight"),
                    qkv.detach().slice(0, 32, 48)));
  REQUIRE(same_bits(file.tensor("model.layers.2.mlp.up_proj.weight"),
                    tiny.model->blocks[2]->feed_forward->gate_up_weight.detach().slice(0, 64)));
  REQUIRE(same_bits(file.tensor("lm_head.weight"), tiny.model->output_weight.detach()));
}

TEST_CASE("an export has its tokenizer, and modeling_zebra.py only where it is needed") {
  TinyModel tiny;
  tiny.write("out");
  REQUIRE(read_file(tiny.folder / "out/tokenizer.model") == read_file(tiny.folder / "tok.model"));
  REQUIRE(Json::parse(read_file(tiny.folder / "out/tokenizer.json"))["model"]["type"] == "BPE");
  REQUIRE(Json::parse(read_file(tiny.folder / "out/generation_config.json"))["eos_token_id"] ==
          Json({2}));
  REQUIRE_FALSE(std::filesystem::exists(tiny.folder / "out/modeling_zebra.py"));

  TinyModel sinks({"model.attention_sink=true"});
  sinks.write("out");
  REQUIRE(read_file(sinks.folder / "out/modeling_zebra.py").find("class ZebraForCausalLM") !=
          std::string::npos);
}

TEST_CASE("large weights become several files with an index") {
  TinyModel tiny;
  tiny.write("whole");
  constexpr std::int64_t kShardBytes = 40'000;  // the embedding and the head are 38,400 each
  tiny.write("parts", kShardBytes);
  REQUIRE_FALSE(std::filesystem::exists(tiny.folder / "parts/model.safetensors"));
  const auto index = Json::parse(read_file(tiny.folder / "parts/model.safetensors.index.json"));
  const SafetensorsFile whole(tiny.folder / "whole/model.safetensors");
  REQUIRE(index["weight_map"].size() == whole.names().size());
  std::map<std::string, std::int64_t> bytes_of_file;
  for (const auto& [name, file] : index["weight_map"].items()) {
    const SafetensorsFile part(tiny.folder / ("parts/" + file.get<std::string>()));
    REQUIRE(same_bits(part.tensor(name), whole.tensor(name)));
    bytes_of_file[file] += static_cast<std::int64_t>(whole.tensor(name).nbytes());
  }
  REQUIRE(bytes_of_file.size() > 2);
  std::int64_t total = 0;
  for (const auto& [file, bytes] : bytes_of_file) {
    REQUIRE(bytes <= kShardBytes);
    total += bytes;
  }
  REQUIRE(index["metadata"]["total_size"] == total);
  REQUIRE(bytes_of_file.begin()->first ==
          "model-00001-of-0000" + std::to_string(bytes_of_file.size()) + ".safetensors");

  tiny.write("single", 1);  // a tensor is never split
  const auto single = Json::parse(read_file(tiny.folder / "single/model.safetensors.index.json"));
  REQUIRE(single["weight_map"]["model.embed_tokens.weight"] == "model-00001-of-00030.safetensors");
}

TEST_CASE("an export never replaces a folder, and leaves nothing half-written") {
  TinyModel tiny;
  tiny.write("out");
  REQUIRE_THROWS_WITH(tiny.write("out"), Catch::Matchers::Contains("exists already"));
  std::filesystem::remove(tiny.folder / "tok.model");
  REQUIRE_THROWS_AS(tiny.write("other"), RunError);
  for (const auto& entry : std::filesystem::directory_iterator(tiny.folder.path())) {
    REQUIRE(entry.path().filename().string().find("other") == std::string::npos);
  }
}

}  // namespace
}  // namespace zebra
