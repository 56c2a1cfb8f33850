#include "plan/step_time.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>

#include "base/error.h"
#include "plan/context_cost.h"
#include "plan/model_cost.h"
#include "plan/muon_cost.h"

namespace zebra {
namespace {

constexpr double kTera = 1e12, kGiga = 1e9;
constexpr double kBitsPerByte = 8.0;
// The sheets' "GB" of memory are 2^30 bytes: the driver shows 81,559 MiB for the 80 GB of an H100.
constexpr std::int64_t kGibibyte = std::int64_t{1} << 30;

struct NetworkLink {
  std::string name;
  double gigabits;
};

// InfiniBand with four lanes per port.
const std::vector<NetworkLink>& network_links() {
  static const std::vector<NetworkLink> kLinks = {
      {"edr", 100}, {"hdr", 200}, {"ndr", 400}, {"xdr", 800}};
  return kLinks;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

template <class Entry>
std::vector<std::string> names(const std::vector<Entry>& entries) {
  std::vector<std::string> names;
  for (const auto& entry : entries) names.push_back(entry.name);
  return names;
}

/// "400gb" is 400; 0 when `text` is no rate.
double gigabits_of(const std::string& text) {
  double rate = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, rate);
  const bool is_rate = error == std::errc() && std::string(rest, end) == "gb";
  return is_rate && rate > 0 && rate <= 1e6 ? rate : 0.0;
}

struct StageFlops {
  double forward = 0, backward = 0;
};

StageFlops block_flops(const Config& config, LayerKind kind, bool is_recomputed) {
  Config one_block = config;
  one_block.model.layers = {kind};
  const auto flops = mean_forward_flops_per_token(one_block);
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

/// The slowest of `count` rings that work at the same time, each beginning `distance` ranks behind
/// the one before.
RingSpeed slowest_ring(const Cluster& cluster, Ring ring, std::int64_t count,
                       std::int64_t distance) {
  auto slowest = ring_speed(cluster, ring);
  for (; count > 1; --count) {
    ring.first += distance;
    const auto speed = ring_speed(cluster, ring);
    if (speed.bytes_per_second < slowest.bytes_per_second) slowest = speed;
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
        shard_(slowest_ring(hardware.cluster, {0, 1, model.shards}, model.replicas, model.shards)),
        replica_(
            slowest_ring(hardware.cluster, {0, model.shards, model.replicas}, model.shards, 1)) {}

  StepTime step(std::int64_t micro_batches) {
    play(/*last=*/false);
    const auto times = static_cast<double>(micro_batches - 1);
    time_.compute *= times;
    time_.in_passes *= times;
    play(/*last=*/true);
    time_.after_last_pass = all_reduce_left_;
    time_.before_first_pass = wait_for_weights();
    count_links(traffic_per_step(model_, micro_batches));
    time_.orthogonalizing += update_bytes(model_) / shard_.bytes_per_second;
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
        (traffic.gathers + traffic.scatters + traffic.updates) / shard_.bytes_per_second;
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

// NVIDIA's data sheets: A100 Tensor Core GPU (SXM), H100 Tensor Core GPU (SXM), H200 Tensor Core
// GPU (SXM), HGX B200. Where a sheet gives bf16 with sparsity it is halved; NVLink is given for
// both directions together and is halved too.
const std::vector<Gpu>& gpus() {
  static const std::vector<Gpu> kGpus = {
      {"a100-40gb", 312 * kTera, 19.5 * kTera, 40 * kGibibyte, 300 * kGiga},
      {"a100", 312 * kTera, 19.5 * kTera, 80 * kGibibyte, 300 * kGiga},
      {"h100", 989 * kTera, 67 * kTera, 80 * kGibibyte, 450 * kGiga},
      {"h200", 989 * kTera, 67 * kTera, 141 * kGibibyte, 450 * kGiga},
      {"b200", 2250 * kTera, 75 * kTera, 180 * kGibibyte, 900 * kGiga}};
  return kGpus;
}

const Gpu& find_gpu(const std::string& name) {
  const auto found = std::find_if(gpus().begin(), gpus().end(),
                                  [&](const Gpu& gpu) { return gpu.name == lower(name); });
  if (found != gpus().end()) return *found;
  throw InputError("no GPU named '" + name + "' is known; give one of " +
                   join(names(gpus()), ", "));
}

double network_bytes_per_second(const std::string& link) {
  double gigabits = gigabits_of(lower(link));
  for (const auto& known : network_links()) {
    if (known.name == lower(link)) gigabits = known.gigabits;
  }
  if (gigabits > 0) return gigabits * kGiga / kBitsPerByte;
  throw InputError("no network link named '" + link +
                   "' is known; give its rate per GPU in gigabits per second, for example 400gb, "
                   "or one of " +
                   join(names(network_links()), ", "));
}

RingSpeed ring_speed(const Cluster& cluster, const Ring& ring) {
  std::map<std::int64_t, std::int64_t> members_on_host;
  for (std::int64_t member = 0; member < ring.members; ++member) {
    ++members_on_host[(ring.first + member * ring.stride) / cluster.gpus_per_host];
  }
  if (members_on_host.size() <= 1) return {false, cluster.gpu.link_bytes_per_second};
  std::int64_t fewest = ring.members;
  for (const auto& [host, members] : members_on_host) fewest = std::min(fewest, members);
  return {true, std::min(static_cast<double>(fewest) * cluster.network_bytes_per_second,
                         cluster.gpu.link_bytes_per_second)};
}

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
  const auto tokens = tokens_per_rank(config);
  const double flops_rate = peak * hardware.efficiency / static_cast<double>(tokens);
  Timeline timeline(model, hardware, stage_flops(config), flops_rate);
  const auto sharing = config.parallel.context;
  const auto micro_batches =
      config.train.global_batch_size * sharing / (config.train.micro_batch_size * model.ranks());
  auto time = timeline.step(micro_batches);
  if (config.optimizer.type == OptimizerType::muon) {
    const auto matrices = hidden_matrices(unit_specs(config.model));
    // In bfloat16 whatever the precision of the model.
    time.orthogonalizing +=
        busiest_newton_schulz_flops(matrices, static_cast<int>(model.shards)) /
        (peak_flops(hardware.cluster.gpu, Precision::bf16) * hardware.efficiency);
  }
  if (sharing == 1) return time;
  const auto ring =
      slowest_ring(hardware.cluster, {0, 1, sharing}, model.ranks() / sharing, sharing);
  time.context =
      static_cast<double>(micro_batches) * context_traffic(config).total() / ring.bytes_per_second;
  (ring.crosses_hosts ? time.network : time.fast_link) += time.context;
  return time;
}

}  // namespace zebra
