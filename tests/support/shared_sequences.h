#pragma once

#include <map>
#include <string>
#include <vector>

#include "distributed/context_ranks.h"
#include "distributed/sharded_data_parallel.h"
#include "support/counting_exchange.h"
#include "support/models.h"
#include "support/ranks.h"

// A step on sequences that ranks share, and the same on one rank.

namespace zebra::testing {

struct SharedStep {
  ModelConfig model;
  std::int64_t length = 0, sequences = 2, micro_batch = 1;
  std::vector<std::vector<std::int64_t>> starts = {};  ///< of documents; none: no documents
  ActivationCheckpointing checkpointing = ActivationCheckpointing::none;
  ShardingOptions sharding = {Sharding::none, torch::kFloat32, torch::kFloat32};
  bool is_shared = true;

  torch::Tensor tokens() const { return random(model.vocab_size, 7); }
  torch::Tensor targets() const {
    return random(model.vocab_size, 8).masked_fill(random(4, 9) == 0, kIgnoredTarget);
  }

 private:
  torch::Tensor random(std::int64_t high, std::uint64_t seed) const {
    return torch::randint(0, high, {sequences, length}, at::detail::createCPUGenerator(seed),
                          torch::kInt64);
  }
};

struct SharedStepResult {
  double loss = 0.0, norm = 0.0;
  torch::Tensor logits;                            ///< of this rank's tokens
  std::map<std::string, torch::Tensor> gradients;  ///< by name, whole
  std::map<std::string, std::int64_t> sent;        ///< bytes, by what it was
};

inline std::map<std::string, torch::Tensor> whole_gradients(const ShardedDataParallel& parallel,
                                                            Communicator& shards) {
  std::map<std::string, torch::Tensor> gradients;
  for (const auto& unit : parallel.units()) {
    auto whole = torch::zeros({unit.layout().size()});
    shards.own_shard(whole).copy_(unit.gradient_shard());
    shards.all_gather(whole, "test").wait();
    for (const auto& [tensor, initial, begin] : unit.layout().tensors())
      gradients[tensor.name] = whole.narrow(0, begin, tensor.numel()).clone();
  }
  return gradients;
}

inline SharedStepResult take_step(const SharedStep& step, TestRank& own) {
  ZebraModel model(step.model, ParameterMemory::placeholder);
  ShardedDataParallel parallel(model, step.sharding, own.groups(), torch::kCPU, /*seed=*/3);
  model->set_activation_checkpointing(step.checkpointing);
  ContextRanks ranks(*own.context);
  CountingExchange exchange(ranks);
  if (step.is_shared) model->set_context(&exchange);
  const auto share = model->context_share();
  const auto groups = own.all->size() / share.ranks;
  const auto of_group = step.sequences / groups;
  const auto tokens = step.tokens(), targets = step.targets();

  SharedStepResult result;
  auto loss = torch::zeros({});
  parallel.begin_step();
  for (std::int64_t done = 0; done < of_group; done += step.micro_batch) {
    const auto first = own.rank / share.ranks * of_group + done;
    const auto part = [&](const torch::Tensor& x) {
      return share.part_of(x.narrow(0, first, step.micro_batch));
    };
    PackedDocuments documents;
    if (!step.starts.empty()) {
      const auto begin = step.starts.begin() + first;
      documents = PackedDocuments::from_starts({begin, begin + step.micro_batch}, step.length)
                      .part_of(share);
    }
    parallel.begin_micro_batch(done + step.micro_batch >= of_group);
    const auto sums = model->loss(part(tokens), part(targets), documents, /*z_loss=*/1e-3);
    sums.objective.backward(torch::full({}, 0.01));
    parallel.finish_micro_batch();
    loss.add_(sums.cross_entropy);
    if (done > 0) continue;
    result.sent = exchange.sent();
    const torch::NoGradGuard no_grad;
    result.logits = model->logits(model->forward(part(tokens), documents));
  }
  parallel.finish_step();
  own.all->all_reduce(loss, "the loss").wait();
  result.loss = loss.item<double>();
  result.norm = parallel.gradient_norm().item<double>();
  result.gradients = whole_gradients(parallel, *own.shards);
  return result;
}

inline SharedStepResult take_step_alone(SharedStep step) {
  step.is_shared = false;
  TestRank alone;
  return take_step(step, alone);
}

/// `ranks` of which `sharing` share each sequence; the state in `replicas` copies.
inline std::vector<SharedStepResult> take_step_on(int ranks, int sharing, int replicas,
                                                  const SharedStep& step) {
  std::vector<SharedStepResult> results(static_cast<std::size_t>(ranks));
  run_on_ranks(
      ranks, replicas,
      [&](TestRank& own) { results[static_cast<std::size_t>(own.rank)] = take_step(step, own); },
      sharing);
  return results;
}

}  // namespace zebra::testing
