#include "distributed/sharded_unit.h"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/zebra_model.h"
#include "optim/adamw.h"
#include "support/models.h"
#include "support/ranks.h"
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

std::vector<Adopted> adopt_all(ZebraModel& model, torch::ScalarType type, std::int64_t seed) {
  std::vector<Adopted> units;
  for (const auto& unit : model->units()) units.emplace_back(unit, type, seed);
  return units;
}

TEST_CASE("adopted parameters are aligned views, placeholders too") {
  const auto memory = GENERATE(ParameterMemory::allocated, ParameterMemory::placeholder);
  ZebraModel model(small_model(), memory), plain(small_model());
  plain->initialize(2);
  auto units = adopt_all(model, torch::kFloat32, 2);
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

TEST_CASE("the size has an equal aligned shard for every rank") {
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
  auto units = adopt_all(model, torch::kFloat32, 9);
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
  auto units = adopt_all(model, type, 4);
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

constexpr std::int64_t kSeed = 4;

// Catch2 is for one thread; what a rank throws is thrown again in that one.
void check(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("does not hold: " + what);
}

struct UnitCase {
  int ranks;
  Sharding sharding;
  int replicas = 1;
  torch::ScalarType weight_type = torch::kFloat32, reduce_type = torch::kFloat32;
};

UnitCase any_case() {
  const auto sharding =
      GENERATE(Sharding::none, Sharding::optimizer, Sharding::gradients, Sharding::full);
  const int ranks = GENERATE(1, 3, 4);
  UnitCase test = {ranks, sharding};
  if (sharding == Sharding::none) test.replicas = ranks;
  if (ranks == 4 && sharding != Sharding::none) test.replicas = GENERATE(1, 2);
  test.weight_type = ranks == 3 ? torch::kBFloat16 : torch::kFloat32;
  return test;
}

// One rank's shard of a block, and the block's parameters.
struct RankUnit {
  ZebraModel model{small_model(), ParameterMemory::placeholder};
  ParameterUnit parameters = model->units()[2];
  ShardedUnit unit;

  RankUnit(const UnitCase& test, const TestRank& own)
      : unit(parameters, {test.sharding, test.weight_type, test.reduce_type}, own.groups(),
             torch::kCPU, kSeed) {}

  std::vector<torch::Tensor> weights() const {
    std::vector<torch::Tensor> weights;
    for (const auto& parameter : parameters.parameters)
      weights.push_back(parameter.tensor.detach().clone());
    return weights;
  }

  // What a backward pass leaves: gradients of every parameter.
  void back_propagate(const std::function<torch::Tensor(at::IntArrayRef)>& gradient) {
    unit.prepare_gradients();
    for (const auto& parameter : parameters.parameters)
      parameter.tensor.grad().add_(gradient(parameter.tensor.sizes()));
    unit.start_reduction();
    unit.finish_reduction(/*last=*/true);
    unit.finish_step();
  }
};

void on_ranks(const UnitCase& test, const std::function<void(RankUnit&, const TestRank&)>& work) {
  INFO("ranks " << test.ranks << " replicas " << test.replicas << " mode "
                << static_cast<int>(test.sharding));
  run_on_ranks(test.ranks, test.replicas, [&](TestRank& own) {
    RankUnit rank_unit(test, own);
    work(rank_unit, own);
  });
}

std::vector<torch::Tensor> initial_weights(torch::ScalarType type) {
  ZebraModel model(small_model());
  model->initialize(kSeed);
  const auto unit = model->units()[2];
  std::vector<torch::Tensor> weights;
  for (const auto& parameter : unit.parameters)
    weights.push_back(parameter.tensor.detach().to(type));
  return weights;
}

bool same_tensors(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_bits);
}

// True where an element of the flat buffer belongs to no tensor.
torch::Tensor gaps_of(const FlatLayout& layout) {
  auto gaps = torch::ones({layout.size()}, torch::kBool);
  for (const auto& [tensor, deviation, begin] : layout.tensors())
    gaps.narrow(0, begin, tensor.numel()).fill_(false);
  return gaps;
}

TEST_CASE("a transient buffer gives its memory back while views live on") {
  TransientBuffer buffer(10, torch::kBFloat16, "weights");
  const auto view = buffer.tensor().narrow(0, 4, 6).view({2, 3});
  REQUIRE(buffer.is_allocated());
  buffer.tensor().fill_(3.0);
  buffer.allocate();
  REQUIRE((view == 3.0).all().item<bool>());  // there was memory: nothing happens

  for (int round = 0; round < 3; ++round) {
    buffer.free();
    buffer.free();
    REQUIRE_FALSE(buffer.is_allocated());
    REQUIRE(view.storage().nbytes() == 0);
    REQUIRE(view.storage().data() == nullptr);
    REQUIRE(view.sizes() == at::IntArrayRef({2, 3}));

    buffer.allocate();
    REQUIRE(buffer.is_allocated());
    REQUIRE(view.storage().nbytes() == 10 * 2);
    buffer.tensor().copy_(torch::arange(10) + round);
    REQUIRE(same_bits(view, (torch::arange(4, 10) + round).view({2, 3}).to(torch::kBFloat16)));
  }
}

TEST_CASE("every rank holds the shard that the mode says") {
  const auto test = any_case();
  on_ranks(test, [&](const RankUnit& own, const TestRank& rank) {
    const auto& unit = own.unit;
    const int shards = test.ranks / test.replicas;
    const auto size = unit.layout().size(), shard = size / shards;
    const bool is_split = shards > 1;
    const bool splits_weights = is_split && test.sharding == Sharding::full;
    const bool splits_gradients =
        splits_weights || (is_split && test.sharding == Sharding::gradients);
    check(unit.name() == "layers.1", "name");
    check(unit.splits_weights() == splits_weights, "splits_weights");
    check(unit.splits_gradients() == splits_gradients, "splits_gradients");
    check(unit.shard_begin() == rank.rank % shards * shard, "shard_begin");
    check(unit.weight_shard().numel() == shard, "size of the weight shard");
    check(unit.gradient_shard().numel() == shard, "size of the gradient shard");
    check(unit.weight_shard().scalar_type() == test.weight_type, "type of weights");
    check(unit.gradient_shard().scalar_type() == torch::kFloat32, "type of gradients");
    check(unit.resident_weights().numel() == (splits_weights ? shard : size), "resident weights");
    const auto memory = [](const torch::Tensor& tensor) {
      return static_cast<std::int64_t>(tensor.storage().nbytes() / tensor.element_size());
    };
    const auto& parameter = own.parameters.parameters[0].tensor;
    check(memory(parameter) == (splits_weights ? 0 : size), "memory of whole weights");
    check(memory(parameter.grad()) == (splits_gradients ? 0 : size), "memory of whole gradients");
    check(memory(unit.weight_shard()) == (splits_weights ? shard : size), "memory of weights");
    check(memory(unit.gradient_shard()) == (splits_gradients ? shard : size),
          "memory of gradients");
  });
}

TEST_CASE("initial weights are the same whatever the ranks and mode, and gathered to the bit") {
  const auto test = any_case();
  const auto expected = initial_weights(test.weight_type);
  on_ranks(test, [&](RankUnit& own, const TestRank&) {
    for (int pass = 0; pass < 2; ++pass) {
      if (pass == 0) own.unit.start_gather();  // may be left out
      own.unit.finish_gather();
      check(same_tensors(own.weights(), expected), "gathered weights are the initial ones");
      if (own.unit.splits_weights()) {
        const auto whole = own.parameters.parameters[0].tensor.detach();
        whole.zero_();
        own.unit.start_gather();
        own.unit.finish_gather();
        check((whole == 0).all().item<bool>(), "what is there is not gathered again");
      }
      own.unit.free_weights();
      own.unit.free_weights();
      const bool has_memory = own.parameters.parameters[0].tensor.storage().nbytes() > 0;
      check(has_memory != own.unit.splits_weights(), "memory only where weights are whole");
    }
    own.unit.start_gather();  // still under way when the memory goes
    own.unit.free_weights();
  });
}

TEST_CASE("shards hold the sum of the gradients of all ranks; in a step they add up") {
  auto test = any_case();
  test.reduce_type = GENERATE(torch::kFloat32, torch::kBFloat16);
  on_ranks(test, [&](RankUnit& own, const TestRank& rank) {
    const auto& unit = own.unit;
    const auto expected_shard = [&](float value) {
      const auto flat = torch::where(gaps_of(unit.layout()), 0.0F, value);
      return flat.narrow(0, unit.shard_begin(), unit.gradient_shard().numel());
    };
    const auto ranks = static_cast<float>(test.ranks);
    for (int step = 0; step < 2; ++step) {
      own.unit.zero_gradients();
      check((unit.gradient_shard() == 0).all().item<bool>(), "no gradients at first");
      own.back_propagate(
          [&](at::IntArrayRef shape) { return torch::full(shape, rank.rank + 1.0); });
      check(same_bits(unit.gradient_shard(), expected_shard(ranks * (ranks + 1.0F) / 2.0F)), "sum");
    }
  });
}

TEST_CASE("split gradients of several micro-batches add up") {
  const UnitCase test = {3, GENERATE(Sharding::gradients, Sharding::full)};
  on_ranks(test, [&](RankUnit& own, const TestRank&) {
    own.unit.zero_gradients();
    for (int micro_batch = 0; micro_batch < 3; ++micro_batch)
      own.back_propagate([](at::IntArrayRef shape) { return torch::ones(shape); });
    const auto gaps = gaps_of(own.unit.layout())
                          .narrow(0, own.unit.shard_begin(), own.unit.gradient_shard().numel());
    check(same_bits(own.unit.gradient_shard(), torch::where(gaps, 0.0F, 9.0F)), "3 x 3");
  });
}

TEST_CASE("gaps stay zero through optimizer steps") {
  const auto test = any_case();
  on_ranks(test, [&](RankUnit& own, const TestRank&) {
    auto& unit = own.unit;
    OptimizerSection settings;
    settings.weight_decay = 0.1;
    const auto shard = unit.weight_shard().numel();
    AdamW optimizer(
        settings,
        {{unit.weight_shard(), unit.gradient_shard(),
          std::clamp<std::int64_t>(unit.layout().decayed_size() - unit.shard_begin(), 0, shard)}});
    for (int step = 0; step < 2; ++step) {
      unit.zero_gradients();
      own.back_propagate([](at::IntArrayRef shape) { return torch::randn(shape); });
      optimizer.step(0.01);
      unit.start_publishing();
      unit.finish_gather();
    }
    const auto gaps = gaps_of(unit.layout()),
               shard_gaps = gaps.narrow(0, unit.shard_begin(), shard);
    for (const auto& values : {unit.weight_shard(), unit.gradient_shard(), optimizer.masters(0),
                               optimizer.first_moments(0), optimizer.second_moments(0)}) {
      check((values.masked_select(shard_gaps) == 0).all().item<bool>(), "zero gaps");
      check((values.masked_select(shard_gaps.logical_not()) != 0).any().item<bool>() ||
                shard_gaps.all().item<bool>(),
            "values beside them");
    }
    if (!unit.splits_weights())
      check((unit.resident_weights().masked_select(gaps) == 0).all().item<bool>(), "all gaps");
  });
}

TEST_CASE("publishing brings changed shards to every rank") {
  const auto test = any_case();
  on_ranks(test, [&](RankUnit& own, const TestRank& rank) {
    auto& unit = own.unit;
    const torch::NoGradGuard no_grad;
    for (int step = 1; step <= 2; ++step) {
      const int shards = rank.shards->size();
      unit.weight_shard().fill_(10.0 * step + rank.shards->rank());
      unit.start_publishing();
      unit.finish_gather();
      const auto shard = unit.layout().size() / shards;
      const auto whole =
          (torch::arange(shards) + 10.0 * step).repeat_interleave(shard).to(test.weight_type);
      for (const auto& parameter : own.parameters.parameters) {
        const auto& tensor = parameter.tensor;
        const auto expected = whole.narrow(0, tensor.storage_offset(), tensor.numel());
        check(same_bits(tensor.detach().flatten(), expected), "published weights");
      }
      unit.free_weights();
    }
  });
}

}  // namespace
}  // namespace zebra
