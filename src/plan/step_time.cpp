#include "plan/step_time.h"

#include <algorithm>

#include "plan/activation_memory.h"
#include "plan/model_cost.h"

namespace zebra {
namespace {

struct StageFlops {
  double forward = 0, backward = 0;
};

StageFlops block_flops(const Config& config, LayerKind kind, bool is_recomputed) {
  ModelConfig one_block = config.model;
  one_block.layers = {kind};
  const auto flops = forward_flops_per_token(one_block, config.data.sequence_length);
  const double forward = flops.total() - flops.head;
  const bool keeps_attention =
      config.train.activation_checkpointing == ActivationCheckpointing::selective;
  const double again =
      keeps_attention ? forward - flops.global_attention - flops.local_attention : forward;
  return {forward, 2.0 * forward + (is_recomputed ? again : 0.0)};
}

/// Per token, for the stages of micro_batch_schedule.
std::vector<StageFlops> stage_flops(const Config& config) {
  std::vector<StageFlops> stages = {StageFlops{}};
  for (const auto kind : config.model.layers) {
    const auto layer = stages.size() - 1;
    stages.push_back(
        block_flops(config, kind, is_recomputed(config.train.activation_checkpointing, layer)));
  }
  const double head = forward_flops_per_token(config.model, config.data.sequence_length).head;
  stages.push_back({head, 2.0 * head});
  return stages;
}

RingSpeed slower(const RingSpeed& a, const RingSpeed& b) {
  return a.bytes_per_second <= b.bytes_per_second ? a : b;
}

/// The slowest ring of those that work at the same time, among the ranks of a copy or of the
/// copies.
RingSpeed shard_ring(const Cluster& cluster, const ShardedModel& model) {
  auto slowest = ring_speed(cluster, {0, 1, model.shards});
  for (std::int64_t copy = 1; copy < model.replicas; ++copy) {
    slowest = slower(slowest, ring_speed(cluster, {copy * model.shards, 1, model.shards}));
  }
  return slowest;
}

RingSpeed replica_ring(const Cluster& cluster, const ShardedModel& model) {
  auto slowest = ring_speed(cluster, {0, model.shards, model.replicas});
  for (std::int64_t shard = 1; shard < model.shards; ++shard) {
    slowest = slower(slowest, ring_speed(cluster, {shard, model.shards, model.replicas}));
  }
  return slowest;
}

void keep_tightest(Overlap& tightest, const Overlap& overlap) {
  const bool is_tighter =
      overlap.communication * tightest.compute > tightest.communication * overlap.compute;
  if (tightest.compute == 0.0 || is_tighter) tightest = overlap;
}

/// Plays a step, in which compute and the two kinds of rings work at the same time.
class Timeline {
 public:
  Timeline(const ShardedModel& model, const Hardware& hardware, std::vector<StageFlops> flops,
           double flops_rate)
      : model_(model),
        flops_(std::move(flops)),
        flops_rate_(flops_rate),
        shard_(shard_ring(hardware.cluster, model)),
        replica_(replica_ring(hardware.cluster, model)) {}

  StepTime step(std::int64_t micro_batches) {
    play(/*last=*/false);
    const auto times = static_cast<double>(micro_batches - 1);
    time_.compute *= times;
    time_.in_passes *= times;
    play(/*last=*/true);
    time_.after_last_pass = all_reduce_left_;
    time_.before_first_pass = wait_for_weights();
    count_links(traffic_per_step(model_, micro_batches));
    return time_;
  }

 private:
  double compute_of(std::size_t stage, bool backward) const {
    return (backward ? flops_[stage].backward : flops_[stage].forward) / flops_rate_;
  }

  Overlap overlap_of(const Moment& moment) const {
    Overlap overlap;
    if (moment.stage) overlap.compute = compute_of(*moment.stage, moment.backward);
    double bytes = 0;
    if (moment.gathering) bytes += gather_bytes(model_, *moment.gathering);
    if (moment.reducing) bytes += scatter_bytes(model_, *moment.reducing);
    overlap.communication = bytes / shard_.bytes_per_second;
    return overlap;
  }

  void play(bool last) {
    std::size_t all_reduced = 0;
    for (const auto& moment : micro_batch_schedule(model_, last)) {
      for (; all_reduced < moment.all_reducing.size(); ++all_reduced) {
        all_reduce_left_ +=
            all_reduce_bytes(model_, moment.all_reducing[all_reduced]) / replica_.bytes_per_second;
      }
      const auto overlap = overlap_of(moment);
      const double duration = std::max(overlap.compute, overlap.communication);
      time_.compute += overlap.compute;
      time_.in_passes += duration - overlap.compute;
      // Rings over the same links take turns.
      const bool shares_links = shard_.crosses_hosts == replica_.crosses_hosts;
      const double free = duration - (shares_links ? overlap.communication : 0.0);
      all_reduce_left_ = std::max(all_reduce_left_ - free, 0.0);
      const bool is_block = moment.stage && *moment.stage > 0 && *moment.stage + 1 < flops_.size();
      if (is_block) keep_tightest(moment.backward ? time_.backward : time_.forward, overlap);
    }
  }

  // The next step's first forward pass, while the weights of one unit after the other arrive.
  double wait_for_weights() const {
    if (!model_.publishes_weights()) return 0.0;
    double arrival = 0, now = 0, compute = 0;
    for (std::size_t stage = 0; stage < flops_.size(); ++stage) {
      const bool is_there = stage == model_.units.size();  // the head of a tied model
      if (!is_there) arrival += gather_bytes(model_, stage) / shard_.bytes_per_second;
      now = std::max(now, arrival) + compute_of(stage, /*backward=*/false);
      compute += compute_of(stage, /*backward=*/false);
    }
    return now - compute;
  }

  void count_links(const Traffic& traffic) {
    (shard_.crosses_hosts ? time_.network : time_.fast_link) +=
        (traffic.gathers + traffic.scatters) / shard_.bytes_per_second;
    (replica_.crosses_hosts ? time_.network : time_.fast_link) +=
        traffic.all_reduces / replica_.bytes_per_second;
  }

  const ShardedModel& model_;
  std::vector<StageFlops> flops_;
  double flops_rate_;  // per token and second
  RingSpeed shard_, replica_;
  StepTime time_;
  double all_reduce_left_ = 0;  // seconds
};

}  // namespace

double peak_flops(const Gpu& gpu, Precision precision) {
  return precision == Precision::bf16 ? gpu.bf16_flops : gpu.fp32_flops;
}

double recomputed_flops_per_token(const Config& config) {
  double recomputed = 0;
  for (const auto& stage : stage_flops(config)) recomputed += stage.backward - 2.0 * stage.forward;
  return recomputed;
}

StepTime step_time(const Config& config, const ShardedModel& model, const Hardware& hardware) {
  const double peak = peak_flops(hardware.cluster.gpu, config.train.precision);
  const auto tokens = config.train.micro_batch_size * config.data.sequence_length;
  const double flops_rate = peak * hardware.efficiency / static_cast<double>(tokens);
  Timeline timeline(model, hardware, stage_flops(config), flops_rate);
  return timeline.step(config.train.global_batch_size /
                       (config.train.micro_batch_size * model.ranks()));
}

}  // namespace zebra
