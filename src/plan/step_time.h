#pragma once

#include "config/config.h"
#include "plan/hardware.h"
#include "plan/sharding_cost.h"

// How long a step takes on paper. Compute is FLOPs over a share of the GPU's peak that is assumed,
// communication is bytes over the rate of its ring, and what waits for what is as in
// micro_batch_schedule. Not counted: latencies, the optimizer's pass over memory, reading data.

namespace zebra {

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

  double exposed() const { return in_passes + after_last_pass + before_first_pass; }
  double step() const { return compute + exposed(); }
};

StepTime step_time(const Config& config, const ShardedModel& model, const Hardware& hardware);

}  // namespace zebra
