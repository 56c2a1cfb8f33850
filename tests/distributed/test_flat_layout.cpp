#include "distributed/flat_unit.h"

#include "model/zebra_model.h"
#include "support/model_sections.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

std::vector<FlatUnit> adopt(ZebraModel& model, torch::ScalarType type) {
  std::vector<FlatUnit> units;
  for (const auto& unit : model->units()) units.emplace_back(unit, type, torch::kCPU);
  return units;
}

TEST_CASE("adopted parameters are aligned views with the same values") {
  ZebraModel model(small_model());
  model->initialize(2);
  const auto original = model->blocks[1]->attention->qkv_weight.detach().clone();
  auto units = adopt(model, torch::kFloat32);
  auto& unit = units[2];
  const auto& weight = model->blocks[1]->attention->qkv_weight;
  REQUIRE(same_bits(weight.detach(), original));
  REQUIRE(weight.is_alias_of(unit.weights()));
  REQUIRE(weight.grad().is_alias_of(unit.gradients()));
  REQUIRE(unit.size() % 64 == 0);
  for (const auto& parameter : model->blocks[1]->parameters()) {
    const auto offset = parameter.storage_offset();
    REQUIRE(offset % 64 == 0);
    const bool is_norm = parameter.dim() == 1;
    REQUIRE((offset < unit.decayed_size()) == !is_norm);
  }
  unit.weights().zero_();
  REQUIRE(weight.abs().max().item<float>() == 0.0F);
}

TEST_CASE("every named tensor lies where the buffer says") {
  ZebraModel model(small_model());
  model->initialize(9);
  auto units = adopt(model, torch::kFloat32);
  ParameterUnit alone{
      "q",
      {{torch::empty({24, 24}), {{"model.layers.0.self_attn.q_proj.weight", {24, 24}}}, 0.02}}};
  initialize_weights(alone, 9);
  bool found = false;
  for (const auto& [tensor, begin] : units[1].tensors()) {
    if (tensor.name != "model.layers.0.self_attn.q_proj.weight") continue;
    found = true;
    REQUIRE(same_bits(units[1].weights().narrow(0, begin, tensor.numel()),
                      alone.parameters[0].tensor.flatten()));
  }
  REQUIRE(found);
}

TEST_CASE("backward adds into the flat float32 gradients, over several passes") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  torch::manual_seed(1);
  const auto tokens = torch::randint(53, {2, 17}, torch::kInt64),
             targets = torch::randint(53, {2, 17}, torch::kInt64);
  ZebraModel model(small_model()), plain(small_model());
  model->initialize(4);
  plain->initialize(4);
  plain->to(type);
  auto units = adopt(model, type);
  const auto* address = model->embedding_weight.grad().data_ptr();
  for (int pass = 0; pass < 3; ++pass) model->loss(tokens, targets).objective.backward();
  plain->loss(tokens, targets).objective.backward();
  REQUIRE(model->embedding_weight.grad().data_ptr() == address);
  for (const auto& item : plain->named_parameters()) {
    const auto gradient = model->named_parameters()[item.key()].grad();
    REQUIRE(gradient.scalar_type() == torch::kFloat32);
    const auto expected = item.value().grad().to(torch::kFloat32) * 3;
    require_close(gradient, expected, 1e-5 * expected.abs().max().item<double>());
  }
  for (auto& unit : units) unit.zero_gradients();
  REQUIRE(model->embedding_weight.grad().abs().max().item<float>() == 0.0F);
}

TEST_CASE("many small bfloat16 gradients are not lost") {
  auto weight = torch::zeros({64}).set_requires_grad(true);
  FlatUnit unit({"one", {{weight, {{"w", {64}}}, 0.02}}}, torch::kBFloat16, torch::kCPU);
  for (int pass = 0; pass < 1000; ++pass) weight.sum().backward();
  REQUIRE(unit.gradients()[0].item<float>() == 1000.0F);
}

}  // namespace
}  // namespace zebra
