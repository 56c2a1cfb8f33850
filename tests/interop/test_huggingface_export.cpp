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

TEST_CASE("config.json spells rope both ways and counts the window HuggingFace's way") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const Tokenizer tokenizer(folder / "tok.model");
  auto config = tiny_run(folder, {"model.rope_scaling.type=yarn", "model.rope_scaling.factor=4",
                                  "model.rope_scaling.original_max_position_embeddings=48",
                                  "model.rope_theta=5.0e+5"});
  const auto json = nlohmann::json::parse(huggingface_config(config, tokenizer));
  REQUIRE(json["rope_theta"] == 5e5);
  REQUIRE(json["rope_scaling"]["type"] == "yarn");
  REQUIRE(json["rope_scaling"]["rope_type"] == "yarn");
  REQUIRE(json["rope_scaling"]["factor"] == 4.0);
  REQUIRE(json["rope_parameters"]["rope_theta"] == 5e5);
  REQUIRE(json["rope_parameters"]["original_max_position_embeddings"] == 48);
  REQUIRE(json["sliding_window"] == 8);
  REQUIRE(json["layer_types"] ==
          nlohmann::json({"full_attention", "sliding_attention", "full_attention"}));
  REQUIRE(json["num_key_value_heads"] == 2);
  REQUIRE(json["vocab_size"] == 300);

  config = tiny_run(folder, {"model.self_attn_type=full"});
  const auto full = nlohmann::json::parse(huggingface_config(config, tokenizer));
  REQUIRE_FALSE(full.contains("sliding_window"));
  REQUIRE(full["rope_scaling"].is_null());
  REQUIRE(full["rope_parameters"]["rope_type"] == "default");
}

TEST_CASE("the exported tensors are the model's rows under Llama's names") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const Tokenizer tokenizer(folder / "tok.model");
  const auto config = tiny_run(folder);
  ZebraModel model(config.model);
  model->initialize(4);
  export_huggingface(config, model, tokenizer, folder / "out");
  const SafetensorsFile file(folder / "out/model.safetensors");
  REQUIRE(file.names().size() == 3 + 3 * 9);
  const auto& qkv = model->blocks[1]->attention->qkv_weight;
  REQUIRE(same_bits(file.tensor("model.layers.1.self_attn.k_proj.weight"),
                    qkv.detach().slice(0, 32, 48)));
  REQUIRE(same_bits(file.tensor("model.layers.2.mlp.up_proj.weight"),
                    model->blocks[2]->feed_forward->gate_up_weight.detach().slice(0, 64)));
  REQUIRE(same_bits(file.tensor("lm_head.weight"), model->output_weight.detach()));
  REQUIRE(read_file(folder / "out/tokenizer.model") == read_file(folder / "tok.model"));
  REQUIRE_THROWS_WITH(export_huggingface(config, model, tokenizer, folder / "out"),
                      Catch::Matchers::Contains("exists already"));
}

}  // namespace
}  // namespace zebra
