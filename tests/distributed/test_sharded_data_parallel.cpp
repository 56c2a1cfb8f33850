#include "distributed/sharded_data_parallel.h"

#include <array>
#include <map>

#include "base/error.h"
#include "support/jobs.h"
#include "support/models.h"
#include "support/ranks.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr std::int64_t kSequences = 12, kLength = 17;

struct Samples {
  torch::Tensor tokens, targets;
};

Samples make_samples(std::int64_t vocabulary) {
  const auto generator = at::detail::createCPUGenerator(7);
  const auto random = [&](std::int64_t high) {
    return torch::randint(0, high, {kSequences, kLength}, generator, torch::kInt64);
  };
  const auto tokens = random(vocabulary), targets = random(vocabulary);
  return {tokens, targets.masked_fill(random(4) == 0, kIgnoredTarget)};
}

struct StepCase {
  ModelConfig model;
  ShardingOptions options;
  ActivationCheckpointing checkpointing = ActivationCheckpointing::none;
  std::int64_t micro_batch = 3;
};

// One step of plain gradient descent, so that the next forward pass shows whether weights arrive.
void descend(ShardedDataParallel& parallel) {
  const torch::NoGradGuard no_grad;
  for (const auto& unit : parallel.units())
    unit.weight_shard().sub_(unit.gradient_shard().to(unit.weight_shard().scalar_type()), 0.5);
  parallel.publish_weights();
}

struct Result {
  double norm = 0.0;
  double loss = 0.0;
  std::map<std::string, torch::Tensor> gradients;  // by name, whole
};

// Two steps on `own`; the result holds this rank's shards of the second step's gradients.
Result train_two_steps(const StepCase& test, TestRank& own) {
  const auto samples = make_samples(test.model.vocab_size);
  ZebraModel model(test.model, ParameterMemory::placeholder);
  ShardedDataParallel parallel(model, test.options, own.groups(), torch::kCPU, /*seed=*/3);
  model->set_activation_checkpointing(test.checkpointing);
  const auto share = kSequences / own.all->size();
  Result result;
  for (int step = 0; step < 2; ++step) {
    auto loss = torch::zeros({});
    parallel.begin_step();
    for (std::int64_t done = 0; done < share; done += test.micro_batch) {
      parallel.begin_micro_batch(done + test.micro_batch >= share);
      const auto rows = [&](const torch::Tensor& x) {
        return x.narrow(0, own.rank * share + done, test.micro_batch);
      };
      const auto sums = model->loss(rows(samples.tokens), rows(samples.targets));
      sums.objective.backward(torch::full({}, 0.01));
      parallel.finish_micro_batch();
      loss.add_(sums.cross_entropy);
    }
    parallel.finish_step();
    own.all->all_reduce(loss, "the loss").wait();
    result.loss = loss.item<double>();
    result.norm = parallel.gradient_norm().item<double>();
    if (step == 0) descend(parallel);
  }
  for (const auto& unit : parallel.units()) {
    auto whole = torch::zeros({unit.layout().size()});
    own.groups().shards->own_shard(whole).copy_(unit.gradient_shard());
    own.groups().shards->all_gather(whole, "test").wait();
    for (const auto& [tensor, deviation, begin] : unit.layout().tensors())
      result.gradients[tensor.name] = whole.narrow(0, begin, tensor.numel()).clone();
  }
  return result;
}

void require_close_results(const Result& result, const Result& expected, double tolerance) {
  REQUIRE(result.loss == Approx(expected.loss).epsilon(tolerance));
  REQUIRE(result.norm == Approx(expected.norm).epsilon(tolerance));
  for (const auto& [name, gradient] : expected.gradients) {
    INFO(name);
    require_close(result.gradients.at(name), gradient,
                  tolerance * gradient.abs().max().item<double>());
  }
}

ModelConfig small_model_of(bool tied) {
  auto model = small_model();
  model.tie_word_embeddings = tied;
  return model;
}

TEST_CASE("every mode on any number of ranks gives the gradients of one rank") {
  const bool tied = GENERATE(false, true);
  const StepCase one = {small_model_of(tied), {Sharding::none, torch::kFloat32, torch::kFloat32}};
  TestRank alone;
  const auto expected = train_two_steps(one, alone);
  struct Shape {
    int ranks, replicas;
  };
  const auto shape = GENERATE(Shape{1, 1}, Shape{2, 1}, Shape{3, 1}, Shape{4, 1}, Shape{4, 2});
  StepCase test = one;
  test.options.sharding =
      GENERATE(Sharding::none, Sharding::optimizer, Sharding::gradients, Sharding::full);
  test.checkpointing = GENERATE(ActivationCheckpointing::none, ActivationCheckpointing::selective,
                                ActivationCheckpointing::every_2);
  test.micro_batch = shape.ranks == 4 ? 3 : 2;  // so that most shapes accumulate
  const int replicas = test.options.sharding == Sharding::none ? shape.ranks : shape.replicas;
  INFO("ranks " << shape.ranks << " replicas " << replicas << " tied " << tied << " mode "
                << static_cast<int>(test.options.sharding));
  std::vector<Result> results(static_cast<std::size_t>(shape.ranks));
  run_on_ranks(shape.ranks, replicas, [&](TestRank& own) {
    results[static_cast<std::size_t>(own.rank)] = train_two_steps(test, own);
  });
  for (const auto& result : results) {
    require_close_results(result, expected, 2e-5);
    REQUIRE(result.norm == results.front().norm);
    REQUIRE(result.loss == results.front().loss);
  }
}

TEST_CASE("gradients repeat to the bit") {
  const StepCase test = {
      small_model_of(false),
      {Sharding::full, torch::kBFloat16, GENERATE(torch::kFloat32, torch::kBFloat16)}};
  std::array<Result, 2> results;
  for (auto& result : results) {
    run_on_ranks(4, 2, [&](TestRank& own) {
      const auto own_result = train_two_steps(test, own);
      if (own.rank == 3) result = own_result;
    });
  }
  for (const auto& [name, gradient] : results[0].gradients)
    REQUIRE(same_bits(gradient, results[1].gradients.at(name)));
}

TEST_CASE("reductions in bfloat16 agree with those in float32 to bfloat16") {
  StepCase test = {small_model_of(true), {Sharding::gradients, torch::kFloat32, torch::kFloat32}};
  TestRank alone;
  const auto expected = train_two_steps(test, alone);
  test.options.reduce_type = torch::kBFloat16;
  test.options.sharding = GENERATE(Sharding::none, Sharding::optimizer, Sharding::full);
  run_on_ranks(2, test.options.sharding == Sharding::none ? 2 : 1, [&](TestRank& own) {
    const auto result = train_two_steps(test, own);
    if (own.rank == 0) require_close_results(result, expected, 0.05);
  });
}

TEST_CASE("split weights are in memory only while their unit computes") {
  const StepCase test = {small_model_of(false), {Sharding::full, torch::kFloat32, torch::kFloat32}};
  run_on_ranks(2, 1, [&](TestRank& own) {
    ZebraModel model(test.model, ParameterMemory::placeholder);
    const ShardedDataParallel parallel(model, test.options, own.groups(), torch::kCPU, 3);
    const auto held = [&] {
      std::size_t count = 0;
      for (const auto& parameter : model->parameters()) count += parameter.storage().nbytes() > 0;
      return count;
    };
    const auto samples = make_samples(test.model.vocab_size);
    if (held() != 0) throw std::runtime_error("weights in memory at the start");
    model->token_losses(samples.tokens, samples.targets);
    if (held() != 0) throw std::runtime_error("weights in memory after an evaluation");
  });
}

struct Fault {
  int rank;
  std::size_t unit;
};

// What the check says on each of four ranks when one bit of each of these is wrong.
std::vector<std::string> replica_errors(Sharding sharding, const std::vector<Fault>& faults) {
  std::vector<std::string> messages(4);
  run_job(4, sharding == Sharding::none ? 4 : 2, [&](Job& job, TestRank& own) {
    ZebraModel model(small_model(), ParameterMemory::placeholder);
    const ShardedDataParallel parallel(model, {sharding, torch::kFloat32, torch::kFloat32},
                                       own.groups(), torch::kCPU, /*seed=*/3);
    for (const auto& [rank, unit] : faults) {
      if (rank != own.rank) continue;
      const auto& weights = parallel.units()[unit].resident_weights();
      static_cast<std::int32_t*>(weights.mutable_data_ptr())[7] ^= 1;
    }
    try {
      parallel.check_replicas(job);
    } catch (const RunError& error) {
      messages[static_cast<std::size_t>(own.rank)] = error.what();
    }
  });
  return messages;
}

TEST_CASE("equal replicas pass") {
  const auto sharding =
      GENERATE(Sharding::none, Sharding::optimizer, Sharding::gradients, Sharding::full);
  REQUIRE(replica_errors(sharding, {}) == std::vector<std::string>(4));
}

TEST_CASE("one wrong bit is named on every rank, with unit and ranks") {
  // With split weights ranks 0 and 2 hold the first shard, 1 and 3 the second.
  const auto sharding = GENERATE(Sharding::none, Sharding::gradients, Sharding::full);
  const int like = sharding == Sharding::full ? 1 : 0;
  for (const auto& message : replica_errors(sharding, {{3, 2}})) {
    REQUIRE_THAT(message, Catch::Matchers::Contains("differ in layers.1 on ranks " +
                                                    std::to_string(like) + " and 3. "));
  }
}

TEST_CASE("all that differs is named") {
  for (const auto& message : replica_errors(Sharding::full, {{2, 0}, {3, 5}})) {
    REQUIRE_THAT(message, Catch::Matchers::Contains(
                              "differ in embedding on ranks 0 and 2, head on ranks 1 and 3. "));
  }
}

}  // namespace
}  // namespace zebra
