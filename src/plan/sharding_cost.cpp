#include "plan/sharding_cost.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "base/error.h"
#include "model/unit_spec.h"
#include "plan/model_cost.h"

namespace zebra {
namespace {

constexpr std::int64_t kBf16Bytes = 2;

std::int64_t bytes_of(Precision precision) {
  return precision == Precision::bf16 ? kBf16Bytes : kFloatBytes;
}

std::vector<std::int64_t> unit_sizes(const ModelConfig& model, std::int64_t shards) {
  std::vector<std::int64_t> sizes;
  for (const auto& unit : unit_specs(model)) sizes.push_back(flat_offsets(unit, shards).size);
  return sizes;
}

// Of each unit what lies in front of its norms, where that is matrices of a block.
std::vector<std::int64_t> matrix_sizes(const ModelConfig& model, std::int64_t shards) {
  std::vector<std::int64_t> sizes;
  for (const auto& unit : unit_specs(model)) {
    const bool has_matrices =
        std::ranges::any_of(unit.parameters, &ParameterSpec::is_hidden_matrix);
    sizes.push_back(has_matrices ? flat_offsets(unit, shards).decayed_size : 0);
  }
  return sizes;
}

// Moments of the last rank, which has most norms.
std::int64_t moment_elements(const ShardedModel& model) {
  auto elements = 2 * model.elements() / model.shards;
  for (std::size_t unit = 0; unit < model.matrices.size(); ++unit) {
    const auto shard = model.units[unit] / model.shards;
    elements -=
        std::clamp<std::int64_t>(model.matrices[unit] - (model.shards - 1) * shard, 0, shard);
  }
  return elements;
}

double ring_share(std::int64_t ranks) {
  return static_cast<double>(ranks - 1) / static_cast<double>(ranks);
}

std::int64_t size_of(const ShardedModel& model, const std::vector<std::size_t>& units) {
  std::int64_t size = 0;
  for (const auto unit : units) size += model.units[unit];
  return size;
}

/// Walks through a pass as the engine does. Stages and units differ in the head of a tied model
/// alone.
class Schedule {
 public:
  explicit Schedule(const ShardedModel& model)
      : model_(model), head_(model.units.size() - (model.tied ? 0 : 1)) {}

  void forward() {
    if (model_.sharding == Sharding::full) {  // nothing computes while the first weights arrive
      gather_ahead(add_moment(std::nullopt), 0);
    }
    for (std::size_t stage = 0; stage <= head_; ++stage) {
      Moment& moment = add_moment(stage);
      if (model_.sharding != Sharding::full) continue;
      moment.gathered = {unit(stage)};
      if (stage < head_) gather_ahead(moment, unit(stage + 1));
    }
  }

  void backward(bool last) {
    for (std::size_t stage = head_ + 1; stage-- > 0;) {
      compute_gradients(stage);
      const bool is_used_again = model_.tied && stage == head_;
      if (is_used_again || !(model_.splits_gradients() || last)) continue;
      start_reduction(stage);
      finish_reduction(last);
      reducing_ = unit(stage);
    }
    if (!reducing_) return;
    add_backward_moment(std::nullopt);
    finish_reduction(last);
    if (last) add_backward_moment(std::nullopt);
  }

  std::vector<Moment> moments() && { return std::move(moments_); }

 private:
  std::size_t unit(std::size_t stage) const { return model_.tied && stage == head_ ? 0 : stage; }

  Moment& add_moment(std::optional<std::size_t> stage) {
    moments_.emplace_back().stage = stage;
    return moments_.back();
  }

  static void gather_ahead(Moment& moment, std::size_t unit) {
    moment.gathered.push_back(unit);
    moment.gathering = unit;
  }

  Moment& add_backward_moment(std::optional<std::size_t> stage) {
    Moment& moment = add_moment(stage);
    moment.backward = true;
    moment.gradients = gradients_;
    moment.all_reducing = all_reducing_;
    moment.reducing = reducing_;
    if (reducing_) moment.copies = {*reducing_};
    return moment;
  }

  void compute_gradients(std::size_t stage) {
    const bool is_new =
        std::find(gradients_.begin(), gradients_.end(), unit(stage)) == gradients_.end();
    if (model_.splits_gradients() && is_new) gradients_.push_back(unit(stage));
    Moment& moment = add_backward_moment(stage);
    if (model_.sharding != Sharding::full || stage == 0) return;
    moment.gathered = {unit(stage)};
    if (stage > 1) gather_ahead(moment, stage - 1);
  }

  // The copy is made while that of the unit before is still there.
  void start_reduction(std::size_t stage) {
    const auto weights = moments_.back().gathering;
    Moment& moment = add_backward_moment(std::nullopt);
    moment.reducing.reset();  // counted while the stage computed
    moment.copies.push_back(unit(stage));
    if (weights) moment.gathered = {*weights};
  }

  void finish_reduction(bool last) {
    if (!reducing_) return;
    std::erase(gradients_, *reducing_);
    if (last) all_reducing_.push_back(*reducing_);
    reducing_.reset();
  }

  const ShardedModel& model_;
  std::size_t head_;
  std::vector<Moment> moments_;
  std::vector<std::size_t> gradients_, all_reducing_;
  std::optional<std::size_t> reducing_;
};

RankMemory resident_memory(const ShardedModel& model) {
  const auto all = model.elements(), part = all / model.shards;
  const bool has_masters = model.weight_bytes < kFloatBytes;
  RankMemory memory;
  memory.weights = (model.sharding == Sharding::full ? part : all) * model.weight_bytes;
  memory.gradients = (model.splits_gradients() ? part : all) * kFloatBytes;
  memory.masters = has_masters ? part * kFloatBytes : 0;
  memory.moments = moment_elements(model) * kFloatBytes;
  return memory;
}

}  // namespace

std::int64_t ShardedModel::elements() const {
  return std::accumulate(units.begin(), units.end(), std::int64_t{0});
}

std::int64_t ranks_per_replica(const ParallelSection& parallel, std::int64_t ranks) {
  if (parallel.sharding == Sharding::none) return 1;
  if (ranks % parallel.replicas != 0) {
    throw InputError("parallel.replicas: " + std::to_string(parallel.replicas) +
                     " does not divide the number of ranks, " + std::to_string(ranks) +
                     "; give a divisor of it, or another number of ranks");
  }
  return ranks / parallel.replicas;
}

std::int64_t context_ranks(const ParallelSection& parallel, std::int64_t ranks) {
  if (ranks % parallel.context != 0) {
    throw InputError("parallel.context: " + std::to_string(parallel.context) +
                     " does not divide the number of ranks, " + std::to_string(ranks) +
                     "; give a divisor of it, or another number of ranks");
  }
  return parallel.context;
}

ShardedModel shard_model(const ModelConfig& model, Precision precision,
                         const ParallelSection& parallel, std::int64_t ranks,
                         OptimizerType optimizer) {
  ShardedModel sharded;
  sharded.shards = ranks_per_replica(parallel, ranks);
  sharded.replicas = ranks / sharded.shards;
  if (sharded.shards > 1) sharded.sharding = parallel.sharding;
  sharded.units = unit_sizes(model, sharded.shards);
  if (optimizer == OptimizerType::muon) sharded.matrices = matrix_sizes(model, sharded.shards);
  sharded.tied = model.tie_word_embeddings;
  sharded.weight_bytes = bytes_of(precision);
  sharded.reduced_bytes = bytes_of(parallel.reduce_precision);
  return sharded;
}

std::vector<Moment> micro_batch_schedule(const ShardedModel& model, bool last) {
  Schedule schedule(model);
  schedule.forward();
  schedule.backward(last);
  return std::move(schedule).moments();
}

RankMemory memory_per_rank(const ShardedModel& model) {
  const auto resident = resident_memory(model);
  const auto copied_bytes = model.reduced_bytes < kFloatBytes ? model.reduced_bytes : 0;
  RankMemory most = resident;
  for (const auto& moment : micro_batch_schedule(model, /*last=*/true)) {
    RankMemory now = resident;
    now.gathered_weights = size_of(model, moment.gathered) * model.weight_bytes;
    now.gradients_in_flight = size_of(model, moment.gradients) * kFloatBytes;
    if (model.shards > 1) now.reduction_copies = size_of(model, moment.copies) * copied_bytes;
    if (model.replicas > 1) {
      now.reduction_copies += size_of(model, moment.all_reducing) / model.shards * copied_bytes;
    }
    if (now.transient() > most.transient()) most = now;
  }
  return most;
}

double gather_bytes(const ShardedModel& model, std::size_t unit) {
  return ring_share(model.shards) * static_cast<double>(model.units[unit] * model.weight_bytes);
}

double scatter_bytes(const ShardedModel& model, std::size_t unit) {
  return ring_share(model.shards) * static_cast<double>(model.units[unit] * model.reduced_bytes);
}

double all_reduce_bytes(const ShardedModel& model, std::size_t unit) {
  const auto part = model.units[unit] / model.shards * model.reduced_bytes;
  return 2.0 * ring_share(model.replicas) * static_cast<double>(part);
}

double update_bytes(const ShardedModel& model) {
  const auto elements =
      std::accumulate(model.matrices.begin(), model.matrices.end(), std::int64_t{0});
  return 2.0 * ring_share(model.shards) * static_cast<double>(elements * kBf16Bytes) /
         static_cast<double>(model.shards);
}

Traffic traffic_per_step(const ShardedModel& model, std::int64_t micro_batches) {
  Traffic traffic;
  traffic.updates = update_bytes(model);
  const auto add_micro_batches = [&](std::int64_t count, bool last) {
    const auto times = static_cast<double>(count);
    for (const auto& moment : micro_batch_schedule(model, last)) {
      if (moment.gathering) traffic.gathers += times * gather_bytes(model, *moment.gathering);
      if (moment.reducing) traffic.scatters += times * scatter_bytes(model, *moment.reducing);
    }
  };
  add_micro_batches(micro_batches - 1, /*last=*/false);
  add_micro_batches(1, /*last=*/true);
  for (std::size_t unit = 0; unit < model.units.size(); ++unit) {
    traffic.all_reduces += all_reduce_bytes(model, unit);
    if (model.publishes_weights()) traffic.gathers += gather_bytes(model, unit);
  }
  return traffic;
}

}  // namespace zebra
