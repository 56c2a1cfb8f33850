#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "plan/sharding_cost.h"

// How long a step takes on paper, on the machines that data sheets promise: nothing here was
// measured. Compute is FLOPs over a share of the GPU's peak that is assumed, communication is bytes
// over the rate of its ring, and what waits for what is as in micro_batch_schedule. Not counted:
// latencies, the optimizer's pass over memory, reading data.

namespace zebra {

struct Gpu {
  std::string name;
  double bf16_flops;             ///< dense matrix products, per second
  double fp32_flops;             ///< without TF32, per second
  std::int64_t memory_bytes;     ///< on the package; drivers keep a little for themselves
  double link_bytes_per_second;  ///< to the GPUs of its host, in one direction
};

const std::vector<Gpu>& gpus();

/// By name, in capitals or not. Throws InputError that names the known ones.
const Gpu& find_gpu(const std::string& name);

/// Bytes per second, in one direction, of a network link: by its rate in gigabits ("400gb"), or by
/// the generation of InfiniBand ("ndr"). Throws InputError that names the known ones.
double network_bytes_per_second(const std::string& link);

/// Hosts of equal GPUs, each of which has a network link of its own. Ranks fill hosts in order.
struct Cluster {
  Gpu gpu;
  double network_bytes_per_second = 0;
  std::int64_t gpus_per_host = 8;
};

/// The ranks first, first + stride, …: `members` of them, joined to a ring.
struct Ring {
  std::int64_t first = 0, stride = 1, members = 1;
};

struct RingSpeed {
  bool crosses_hosts;
  double bytes_per_second;  ///< that each rank sends to its neighbour
};

/// Within a host the GPUs' own links. A ring that leaves its hosts is laid as often as it has
/// members on each of them, so that every member's network link carries a part (as NCCL does): the
/// speed is that of a network link times the members on the host that has the fewest, at most that
/// of the GPUs' links.
RingSpeed ring_speed(const Cluster& cluster, const Ring& ring);

struct Hardware {
  Cluster cluster;
  double efficiency = 0.4;  ///< share of its peak at which a GPU computes
};

/// FLOPs per second that the data sheet promises for matrix products in that precision.
double peak_flops(const Gpu& gpu, Precision precision);

/// FLOPs per token that activation checkpointing adds to the backward pass: those of the blocks
/// that are computed again, with `selective` all but attention.
double recomputed_flops_per_token(const Config& config);

/// One block at work, in seconds, beside the collectives among the ranks of its copy.
struct Overlap {
  double compute = 0, communication = 0;

  bool is_hidden() const { return communication <= compute; }
};

/// Seconds of each rank.
struct StepTime {
  double compute = 0;                 ///< all micro-batches
  double fast_link = 0, network = 0;  ///< busy, by the link that limits the ring
  Overlap forward, backward;  ///< of the block that communicates longest relative to its compute
  // Communication that compute does not hide:
  double in_passes = 0;          ///< of all micro-batches
  double after_last_pass = 0;    ///< what is left of the all-reduces
  double before_first_pass = 0;  ///< updated weights of the step before, until and while it runs
  double context = 0;            ///< keys and values, where ranks share sequences

  double orthogonalizing = 0;  ///< Muon: Newton-Schulz on the busiest rank, and both exchanges

  double exposed() const { return in_passes + after_last_pass + before_first_pass + context; }
  double step() const { return compute + exposed() + orthogonalizing; }
};

StepTime step_time(const Config& config, const ShardedModel& model, const Hardware& hardware);

}  // namespace zebra
