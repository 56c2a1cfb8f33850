#include "model/parameter.h"

#include "model/zebra_model.h"
#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("initial weights are a function of seed, name and index alone") {
  const auto unit_of = [](std::vector<NamedTensor> parts) {
    const ParameterSpec spec = {"weight", ParameterRole::attention, {0.0, 0.02}, std::move(parts)};
    return ParameterUnit{"unit", {{spec, torch::empty(spec.shape())}}};
  };
  const auto packed = unit_of({{"a", {2, 4}}, {"b", {4, 4}}}), alone = unit_of({{"b", {4, 4}}});
  initialize_weights(packed, 7);
  initialize_weights(alone, 7);
  REQUIRE(same_bits(packed.parameters[0].tensor.slice(0, 2), alone.parameters[0].tensor));
  REQUIRE_FALSE(torch::equal(packed.parameters[0].tensor.slice(0, 0, 2),
                             alone.parameters[0].tensor.slice(0, 0, 2)));
  initialize_weights(alone, 8);
  REQUIRE_FALSE(torch::equal(packed.parameters[0].tensor.slice(0, 2), alone.parameters[0].tensor));
}

TEST_CASE("initial weights have the deviations that the model asks for") {
  auto section = small_model("GLLLGLLL");
  section.hidden_size = 96;
  section.intermediate_size = 512;
  section.initializer_range = 0.03;
  section = with_options(section, ModelOptions::heads_normed);
  ZebraModel model(section);
  model->initialize(3);
  for (const auto& unit : model->units()) {
    for (const auto& parameter : unit.parameters) {
      const auto values = parameter.tensor.detach();
      if (!parameter.spec.decayed()) {
        const bool is_sink = parameter.spec.parts[0].name.ends_with("self_attn.sinks");
        REQUIRE((values == (is_sink ? 0.0 : 1.0)).all().item<bool>());
        continue;
      }
      const auto count = static_cast<double>(values.numel());
      REQUIRE(values.std().item<double>() ==
              Approx(parameter.spec.initial.deviation).epsilon(5.0 / std::sqrt(count)));
      REQUIRE(std::abs(values.mean().item<double>()) <=
              5.0 * parameter.spec.initial.deviation / std::sqrt(count));
    }
  }
  const auto down = model->blocks[0]->unit().parameters[3];
  REQUIRE(down.spec.initial.deviation == Approx(0.03 / 4.0));  // 1 / sqrt(2 x 8 layers)
}

TEST_CASE("parts carry HuggingFace's names and fill their parameters") {
  auto section = small_model();
  section.tie_word_embeddings = GENERATE(true, false);
  ZebraModel model(section);
  std::vector<std::string> names;
  for (const auto& unit : model->units()) {
    for (const auto& parameter : unit.parameters) {
      std::int64_t elements = 0;
      for (const auto& part : parameter.spec.parts) {
        elements += part.numel();
        names.push_back(part.name);
      }
      REQUIRE(elements == parameter.tensor.numel());
    }
  }
  REQUIRE(std::count(names.begin(), names.end(), "model.layers.3.self_attn.k_proj.weight") == 1);
  REQUIRE(std::count(names.begin(), names.end(), "lm_head.weight") ==
          (section.tie_word_embeddings ? 0 : 1));
  REQUIRE(names.size() == (section.tie_word_embeddings ? 2U : 3U) + 4 * 9);
}

TEST_CASE("QK-norms stand in every layer, sinks in local ones, neither is decayed") {
  const auto section = with_options(small_model("GLLG"), ModelOptions::heads_normed);
  std::vector<std::string> names;
  for (const auto& unit : ZebraModel(section)->units()) {
    for (const auto& parameter : unit.parameters) {
      const auto& [name, shape] = parameter.spec.parts[0];
      if (parameter.spec.decayed() || name.find("self_attn") == std::string::npos) continue;
      names.push_back(name.substr(std::string("model.layers.").size()));
      REQUIRE(shape == std::vector<std::int64_t>{name.ends_with("sinks") ? 4 : 6});
    }
  }
  REQUIRE(names ==
          std::vector<std::string>{"0.self_attn.q_norm.weight", "0.self_attn.k_norm.weight",
                                   "1.self_attn.q_norm.weight", "1.self_attn.k_norm.weight",
                                   "1.self_attn.sinks", "2.self_attn.q_norm.weight",
                                   "2.self_attn.k_norm.weight", "2.self_attn.sinks",
                                   "3.self_attn.q_norm.weight", "3.self_attn.k_norm.weight"});
}

}  // namespace
}  // namespace zebra
