#include "model/unit_spec.h"

#include <map>

#include "model/zebra_model.h"
#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Names = std::vector<std::string>;
using Shape = std::vector<std::int64_t>;

// 24 wide, 40 in the feed-forward part, 53 rows; 4 query heads, 2 of keys and values, of 6.
ModelConfig model_with(bool tied, bool qk_norm, bool sinks) {
  auto model = small_model("GLG");
  model.tie_word_embeddings = tied;
  model.qk_norm = qk_norm ? QkNorm::head : QkNorm::none;
  model.attention_sink = sinks ? AttentionSink::local : AttentionSink::none;
  return model;
}

/// "path: part [rows,columns] …", one for each parameter.
Names described(const UnitSpec& unit) {
  Names lines;
  for (const auto& parameter : unit.parameters) {
    std::string line = parameter.path + ":";
    for (const auto& part : parameter.parts) {
      line += " " + part.name;
      char separator = '[';
      for (const auto length : part.shape) {
        line += separator + std::to_string(length);
        separator = ',';
      }
      line += "]";
    }
    lines.push_back(line);
  }
  return lines;
}

Names names_of(const std::vector<UnitSpec>& units) {
  Names names;
  for (const auto& unit : units) names.push_back(unit.name);
  return names;
}

TEST_CASE("units come in the order of the forward pass") {
  const auto untied = unit_specs(model_with(false, false, false));
  REQUIRE(names_of(untied) == Names{"embedding", "layers.0", "layers.1", "layers.2", "head"});
  REQUIRE(described(untied.front()) == Names{"embedding_weight: model.embed_tokens.weight[53,24]"});
  REQUIRE(described(untied.back()) == Names{"output_weight: lm_head.weight[53,24]",
                                            "final_norm.weight: model.norm.weight[24]"});
  const auto tied = unit_specs(model_with(true, false, false));
  REQUIRE(names_of(tied) == Names{"embedding_and_head", "layers.0", "layers.1", "layers.2"});
  REQUIRE(described(tied.front()) == Names{"embedding_weight: model.embed_tokens.weight[53,24]",
                                           "final_norm.weight: model.norm.weight[24]"});
}

TEST_CASE("a block's parameters have the names and shapes of HuggingFace's Llama") {
  const Names plain = {
      "block_1.attention.qkv_weight: model.layers.1.self_attn.q_proj.weight[24,24] "
      "model.layers.1.self_attn.k_proj.weight[12,24] model.layers.1.self_attn.v_proj.weight[12,24]",
      "block_1.attention.output_weight: model.layers.1.self_attn.o_proj.weight[24,24]",
      "block_1.feed_forward.gate_up_weight: model.layers.1.mlp.gate_proj.weight[40,24] "
      "model.layers.1.mlp.up_proj.weight[40,24]",
      "block_1.feed_forward.down_weight: model.layers.1.mlp.down_proj.weight[24,40]",
      "block_1.attention_norm.weight: model.layers.1.input_layernorm.weight[24]",
      "block_1.feed_forward_norm.weight: model.layers.1.post_attention_layernorm.weight[24]"};
  REQUIRE(described(unit_specs(model_with(false, false, false))[2]) == plain);

  auto all = plain;
  all.push_back("block_1.attention.query_norm.weight: model.layers.1.self_attn.q_norm.weight[6]");
  all.push_back("block_1.attention.key_norm.weight: model.layers.1.self_attn.k_norm.weight[6]");
  REQUIRE(described(unit_specs(model_with(false, true, false))[2]) == all);
  all.push_back("block_1.attention.sink: model.layers.1.self_attn.sinks[4]");
  const auto with_all = unit_specs(model_with(false, true, true));
  REQUIRE(described(with_all[2]) == all);
  REQUIRE(with_all[1].parameters.size() == 8);  // a global layer has no sinks
}

TEST_CASE("reordered norms and norms of whole projections have the names of HuggingFace's OLMo 3") {
  const auto model = with_options(small_model("GLG"), ModelOptions::projections_normed);
  for (const std::int64_t layer : {0, 1}) {
    const auto lines = described(block_spec(model, layer));
    const auto name = "model.layers." + std::to_string(layer) + ".";
    REQUIRE(Names(lines.begin() + 4, lines.end()) ==
            Names{"attention_norm.weight: " + name + "post_attention_layernorm.weight[24]",
                  "feed_forward_norm.weight: " + name + "post_feedforward_layernorm.weight[24]",
                  "attention.query_norm.weight: " + name + "self_attn.q_norm.weight[24]",
                  "attention.key_norm.weight: " + name + "self_attn.k_norm.weight[12]",
                  "attention.sink: " + name + "self_attn.sinks[4]"});
  }
}

TEST_CASE("a block on its own has the paths of its own module and the same names") {
  const auto model = model_with(false, true, true);
  const auto in_model = unit_specs(model)[2], alone = block_spec(model, 1);
  REQUIRE(alone.name == in_model.name);
  REQUIRE(alone.parameters.size() == in_model.parameters.size());
  for (std::size_t i = 0; i < alone.parameters.size(); ++i) {
    REQUIRE("block_1." + alone.parameters[i].path == in_model.parameters[i].path);
    REQUIRE(alone.parameters[i].parts.front().name == in_model.parameters[i].parts.front().name);
  }
  const auto block = Block(model, 1)->named_parameters();
  REQUIRE(block.size() == alone.parameters.size());
  for (const auto& parameter : alone.parameters)
    REQUIRE(block[parameter.path].sizes() == parameter.shape());
}

TEST_CASE("a model has exactly the parameters of the list") {
  auto config = model_with(GENERATE(true, false), GENERATE(true, false), GENERATE(true, false));
  if (GENERATE(false, true)) config = with_options(config, ModelOptions::projections_normed);
  std::map<std::string, Shape> listed, registered;
  std::int64_t elements = 0;
  for (const auto& unit : unit_specs(config)) {
    for (const auto& parameter : unit.parameters) {
      REQUIRE(listed.emplace(parameter.path, parameter.shape()).second);
      elements += parameter.numel();
    }
  }
  const ZebraModel model(config,
                         GENERATE(ParameterMemory::allocated, ParameterMemory::placeholder));
  std::int64_t registered_elements = 0;
  for (const auto& item : model->named_parameters()) {
    registered[item.key()] = item.value().sizes().vec();
    registered_elements += item.value().numel();
  }
  REQUIRE(listed == registered);
  REQUIRE(elements == registered_elements);
  for (const auto& unit : model->units()) {
    for (const auto& parameter : unit.parameters) {
      REQUIRE(parameter.tensor.is_same(model->named_parameters()[parameter.spec.path]));
      REQUIRE(parameter.spec.decayed() == (parameter.tensor.dim() == 2));
    }
  }
}

TEST_CASE("parameters start aligned, decayed ones first, and every rank has an aligned part") {
  const auto unit = block_spec(model_with(false, true, true), 1);
  const std::int64_t ranks = GENERATE(1, 2, 3, 7);
  const auto offsets = flat_offsets(unit, ranks);
  // The four matrices in their order, the vectors behind them.
  REQUIRE(offsets.order == std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8});
  REQUIRE(offsets.begins == Shape{0, 1152, 1728, 3648, 4608, 4672, 4736, 4800, 4864});
  REQUIRE(offsets.decayed_size == 4608);  // 48 x 24, 24 x 24, 80 x 24 and 24 x 40 need no gaps
  REQUIRE(offsets.size % (64 * ranks) == 0);
  REQUIRE(offsets.size >= 4864 + 4);
  REQUIRE(offsets.size < 4864 + 64 + 64 * ranks);
}

TEST_CASE("gaps stand behind parameters that do not fill up their last 64 elements") {
  const ParameterSpec norm = {"norm", ParameterRole::norm, kOnes, {{"n", {65}}}};
  const ParameterSpec matrix = {
      "matrix", ParameterRole::attention, {0.0, 0.02}, {{"a", {3, 7}}, {"b", {2, 7}}}};
  REQUIRE(matrix.shape() == Shape{5, 7});
  REQUIRE(matrix.numel() == 35);
  const auto offsets = flat_offsets({"unit", {norm, matrix, norm, matrix}}, 4);
  REQUIRE(offsets.order == std::vector<std::size_t>{1, 3, 0, 2});
  REQUIRE(offsets.begins == Shape{0, 64, 128, 256});
  REQUIRE(offsets.decayed_size == 128);
  REQUIRE(offsets.size == 512);  // 384, up to a multiple of 4 x 64
}

}  // namespace
}  // namespace zebra
