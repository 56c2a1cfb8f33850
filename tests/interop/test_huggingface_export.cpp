#include "interop/huggingface_export.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "interop/huggingface_config.h"
#include "support/tensors.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Json = nlohmann::json;

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

  TinyModel own({"model.attention_sink=true", "model.qk_norm=true"});
  own.write("out");
  REQUIRE(read_file(own.folder / "out/modeling_zebra.py").find("class ZebraForCausalLM") !=
          std::string::npos);
}

TEST_CASE("layers without sinks get idle ones where the architecture has some in every layer") {
  TinyModel tiny({"model.attention_sink=true"});  // GLG
  tiny.write("out");
  REQUIRE_FALSE(std::filesystem::exists(tiny.folder / "out/modeling_zebra.py"));
  const SafetensorsFile file(tiny.folder / "out/model.safetensors");
  REQUIRE(file.names().size() == 3 + 3 * 10);
  REQUIRE(same_bits(file.tensor("model.layers.1.self_attn.sinks"),
                    tiny.model->blocks[1]->attention->sink.detach()));
  for (const char* layer : {"0", "2"}) {
    REQUIRE(same_bits(file.tensor("model.layers." + std::string(layer) + ".self_attn.sinks"),
                      torch::full({4}, kIdleSink, torch::kFloat32)));
  }
}

// As with_sink computes in every kernel of ours: the share that is left is exactly 1.
TEST_CASE("idle sinks change no bit of what a model computes") {
  TinyModel plain, idle({"model.attention_sink=all"});
  const torch::NoGradGuard no_grad;
  for (auto& block : idle.model->blocks) block->attention->sink.fill_(kIdleSink);
  const auto tokens = torch::randint(300, {2, 40}, torch::kInt64);
  REQUIRE(same_bits(idle.model->forward(tokens), plain.model->forward(tokens)));
  plain.model->to(torch::kBFloat16);
  idle.model->to(torch::kBFloat16);
  REQUIRE(same_bits(idle.model->forward(tokens), plain.model->forward(tokens)));
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
