#include "distributed/sharded_optimizer.h"

#include <map>

#include "support/models.h"
#include "support/ranks.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct UpdateCase {
  int ranks, replicas;
  Sharding sharding;
  torch::ScalarType type = torch::kFloat32;
};

OptimizerSection muon() {
  OptimizerSection settings;
  settings.type = OptimizerType::muon;
  settings.momentum = 0.9;
  return settings;
}

// The whole state, by group and unit, after three steps on gradients that depend on nothing but
// their place; the second one is not done.
std::map<std::string, torch::Tensor> state_after_steps(const UpdateCase& test, TestRank& own,
                                                       const OptimizerSection& settings) {
  ZebraModel model(with_options(small_model("GL"), ModelOptions::heads_normed),
                   ParameterMemory::placeholder);
  ShardedDataParallel parallel(model, {test.sharding, test.type, torch::kFloat32}, own.groups(),
                               torch::kCPU, /*seed=*/3);
  ShardedOptimizer optimizer(settings, parallel);
  for (int step = 0; step < 3; ++step) {
    for (const auto& unit : parallel.units()) {
      const auto generator = at::detail::createCPUGenerator(
          static_cast<std::uint64_t>(10 * step + static_cast<int>(&unit - &parallel.units()[0])));
      // Whatever the padding: the values of a tensor do not depend on what is behind it.
      const auto flat = torch::zeros({unit.layout().size()});
      for (const auto& [tensor, initial, begin] : unit.layout().tensors())
        flat.narrow(0, begin, tensor.numel()).normal_(0.0, 1.0, generator);
      unit.gradient_shard().copy_(
          flat.narrow(0, unit.shard_begin(), unit.gradient_shard().numel()));
    }
    optimizer.step(0.02, torch::tensor({0.5F, step == 1 ? 0.0F : 1.0F}));
    if (step != 1) optimizer.set_steps_taken(optimizer.steps_taken() + 1);
  }
  std::map<std::string, torch::Tensor> whole;
  const auto key = [](const std::string& group, const std::string& name) {
    return group + " of " + name;
  };
  const auto gather = [&](const std::string& group, const ShardedUnit& unit,
                          const torch::Tensor& shard) {
    auto flat = torch::zeros({unit.layout().size()});
    own.shards->own_shard(flat).copy_(shard);
    own.shards->all_gather(flat, "test").wait();
    for (const auto& [tensor, initial, begin] : unit.layout().tensors())
      whole[key(group, tensor.name)] = flat.narrow(0, begin, tensor.numel()).clone();
  };
  for (const std::string group : {"weights", "momentum", "exp_avg", "exp_avg_sq"}) {
    for (std::size_t i = 0; i < parallel.units().size(); ++i) {
      const auto& unit = parallel.units()[i];
      auto shard = torch::zeros({unit.weight_shard().numel()});
      for (const auto& state : optimizer.state()) {
        if (state.group != group || state.unit != i) continue;
        shard.narrow(0, state.begin - unit.shard_begin(), state.values.numel()).copy_(state.values);
      }
      gather(group, unit, shard);
    }
  }
  for (const auto& unit : parallel.units())
    gather("rounded", unit, unit.weight_shard().to(torch::kFloat32));
  return whole;
}

TEST_CASE("Muon gives the same bits on any number of ranks, in every mode") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  TestRank alone;
  const auto expected = state_after_steps({1, 1, Sharding::none, type}, alone, muon());
  const auto test =
      GENERATE(UpdateCase{2, 2, Sharding::none}, UpdateCase{2, 1, Sharding::optimizer},
               UpdateCase{3, 1, Sharding::gradients}, UpdateCase{4, 1, Sharding::full},
               UpdateCase{4, 2, Sharding::full}, UpdateCase{3, 1, Sharding::optimizer});
  INFO(test.ranks << " ranks, mode " << static_cast<int>(test.sharding));
  std::vector<int> equal(static_cast<std::size_t>(test.ranks));
  run_on_ranks(test.ranks, test.replicas, [&](TestRank& own) {
    const auto state =
        state_after_steps({test.ranks, test.replicas, test.sharding, type}, own, muon());
    bool same = state.size() == expected.size();
    for (const auto& [name, values] : expected) same = same && same_bits(state.at(name), values);
    equal[static_cast<std::size_t>(own.rank)] = same;
  });
  REQUIRE(equal == std::vector<int>(equal.size(), 1));
}

TEST_CASE("Muon's update of each of Q, K, V, gate and up is that of the matrix by itself") {
  TestRank alone;
  auto settings = muon();
  const auto before = [&] {
    settings.weight_decay = 0.0;
    ZebraModel model(with_options(small_model("GL"), ModelOptions::heads_normed),
                     ParameterMemory::placeholder);
    ShardedDataParallel parallel(model, {Sharding::none, torch::kFloat32, torch::kFloat32},
                                 alone.groups(), torch::kCPU, /*seed=*/3);
    std::map<std::string, torch::Tensor> weights;
    for (const auto& unit : parallel.units())
      for (const auto& [tensor, initial, begin] : unit.layout().tensors())
        weights[tensor.name] =
            unit.weight_shard().narrow(0, begin, tensor.numel()).clone().view(tensor.shape);
    return weights;
  }();
  const auto after = state_after_steps({1, 1, Sharding::none}, alone, settings);
  int matrices = 0;
  for (const auto& [name, weights] : before) {
    if (name.find("_proj.") == std::string::npos) continue;
    INFO(name);
    ++matrices;
    const auto moved = after.at("weights of " + name).view(weights.sizes()) - weights;
    // Two updates whose singular values are all near 1: not those of a part of a larger matrix.
    const auto values = at::linalg_svdvals(
        moved / (0.02 * muon_scale(settings.adjust_lr_fn, weights.size(0), weights.size(1))));
    REQUIRE(values.max().item<double>() < 2.6);
    REQUIRE(values.max().item<double>() > 0.9);
  }
  REQUIRE(matrices == 14);
}

TEST_CASE("AdamW of a sharded optimizer is AdamW alone, and norms and tables have it beside Muon") {
  TestRank alone;
  const UpdateCase test = {1, 1, Sharding::none};
  const auto adamw = state_after_steps(test, alone, {}),
             both = state_after_steps(test, alone, muon());
  for (const auto& [name, values] : adamw) {
    INFO(name);
    const bool is_matrix = name.find("_proj.") != std::string::npos;
    if (is_matrix) continue;
    REQUIRE(same_bits(both.at(name), values));
  }
  REQUIRE(both.at("momentum of model.embed_tokens.weight").abs().max().item<float>() == 0.0F);
  REQUIRE(adamw.at("exp_avg of model.layers.0.self_attn.q_proj.weight").abs().max().item<float>() >
          0.0F);
  REQUIRE(both.at("exp_avg of model.layers.0.self_attn.q_proj.weight").abs().max().item<float>() ==
          0.0F);
}

}  // namespace
}  // namespace zebra
