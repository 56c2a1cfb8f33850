#include "distributed/flat_layout.h"

#include "model/zebra_model.h"
#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// A unit with buffers of its own, filled with initial weights.
struct Adopted {
  FlatLayout layout;
  torch::Tensor weights, gradients;

  Adopted(const ParameterUnit& unit, torch::ScalarType type, std::int64_t seed, int ranks = 1)
      : layout(unit, ranks),
        weights(torch::empty({layout.size()}, type)),
        gradients(torch::zeros({layout.size()}, torch::kFloat32)) {
    layout.fill_initial_weights(seed, 0, weights);
    layout.adopt(weights, gradients);
  }
};

std::vector<Adopted> adopt(ZebraModel& model, torch::ScalarType type, std::int64_t seed) {
  std::vector<Adopted> units;
  for (const auto& unit : model->units()) units.emplace_back(unit, type, seed);
  return units;
}

TEST_CASE("adopted parameters are aligned views, placeholders too") {
  const auto memory = GENERATE(ParameterMemory::allocated, ParameterMemory::placeholder);
  ZebraModel model(small_model(), memory), plain(small_model());
  plain->initialize(2);
  auto units = adopt(model, torch::kFloat32, 2);
  auto& unit = units[2];
  const auto& weight = model->blocks[1]->attention->qkv_weight;
  REQUIRE(same_bits(weight.detach(), plain->blocks[1]->attention->qkv_weight.detach()));
  REQUIRE(weight.is_alias_of(unit.weights));
  REQUIRE(weight.grad().is_alias_of(unit.gradients));
  for (const auto& parameter : model->blocks[1]->parameters()) {
    const auto offset = parameter.storage_offset();
    REQUIRE(offset % 64 == 0);
    const bool is_norm = parameter.dim() == 1;
    REQUIRE((offset < unit.layout.decayed_size()) == !is_norm);
  }
  unit.weights.zero_();
  REQUIRE(weight.abs().max().item<float>() == 0.0F);
}

TEST_CASE("the size has an equal aligned part for every rank") {
  ZebraModel model(small_model());
  for (const int ranks : {1, 2, 3, 7}) {
    for (const auto& unit : model->units()) {
      const FlatLayout layout(unit, ranks);
      REQUIRE(layout.size() % (64 * ranks) == 0);
      REQUIRE(layout.size() - 64 * ranks < FlatLayout(unit, 1).size());
    }
  }
}

TEST_CASE("every named tensor lies where the layout says") {
  ZebraModel model(small_model());
  auto units = adopt(model, torch::kFloat32, 9);
  ParameterUnit alone{"q",
                      {{{"attention.qkv_weight",
                         ParameterRole::attention,
                         {0.0, 0.02},
                         {{"model.layers.0.self_attn.q_proj.weight", {24, 24}}}},
                        torch::empty({24, 24})}}};
  initialize_weights(alone, 9);
  bool found = false;
  for (const auto& [tensor, deviation, begin] : units[1].layout.tensors()) {
    if (tensor.name != "model.layers.0.self_attn.q_proj.weight") continue;
    found = true;
    REQUIRE(same_bits(units[1].weights.narrow(0, begin, tensor.numel()),
                      alone.parameters[0].tensor.flatten()));
  }
  REQUIRE(found);
}

TEST_CASE("a range of initial weights does not depend on where it begins") {
  ZebraModel model(small_model());
  for (const auto& unit : model->units()) {
    const FlatLayout layout(unit, 1);
    const auto whole = torch::full({layout.size()}, std::nan(""), torch::kBFloat16);
    layout.fill_initial_weights(5, 0, whole);
    REQUIRE_FALSE(whole.isnan().any().item<bool>());
    for (std::int64_t begin = 0; begin < layout.size(); begin += 77) {
      const auto count = std::min<std::int64_t>(77, layout.size() - begin);
      const auto piece = torch::full({count}, std::nan(""), torch::kBFloat16);
      layout.fill_initial_weights(5, begin, piece);
      REQUIRE(same_bits(piece, whole.narrow(0, begin, count)));
    }
  }
}

TEST_CASE("backward adds into the flat float32 gradients, over several passes") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  torch::manual_seed(1);
  const auto tokens = torch::randint(53, {2, 17}, torch::kInt64),
             targets = torch::randint(53, {2, 17}, torch::kInt64);
  ZebraModel model(small_model()), plain(small_model());
  plain->initialize(4);
  plain->to(type);
  auto units = adopt(model, type, 4);
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
  for (auto& unit : units) unit.gradients.zero_();
  REQUIRE(model->embedding_weight.grad().abs().max().item<float>() == 0.0F);
}

TEST_CASE("many small bfloat16 gradients are not lost") {
  auto weight = torch::zeros({64}).set_requires_grad(true);
  const Adopted unit({"one", {{{"w", ParameterRole::head, {0.0, 0.02}, {{"w", {64}}}}, weight}}},
                     torch::kBFloat16, 1);
  for (int pass = 0; pass < 1000; ++pass) weight.sum().backward();
  REQUIRE(unit.gradients[0].item<float>() == 1000.0F);
}

}  // namespace
}  // namespace zebra
