#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include "config/config.h"

// What follows for a step from its number and from the steps before it, without LibTorch: the
// learning rate, and whether the step does an update.

namespace zebra {

/// Share of the peak learning rate at `step` (from 1) of `max_steps`.
///
/// Linear warm-up from peak / warmup_steps to the peak at warmup_steps; then
/// - cosine: half a cosine from 1 down to min_lr_ratio at max_steps (Loshchilov and Hutter, arXiv
///   1608.03983);
/// - wsd: 1 until the last decay_steps, in which it is 1 - (1 - min_lr_ratio) sqrt(progress)
///   (Haegele et al., arXiv 2405.18392);
/// - constant: 1.
double learning_rate_factor(const ScheduleSection& schedule, std::int64_t step,
                            std::int64_t max_steps);

/// Decides which steps do no update: those whose loss or gradient norm is not finite, and those
/// whose norm exceeds `skip_above` times the median of the last finite norms. Its state is part
/// of a checkpoint, so that a resumed run takes the same decisions.
class SkipRule {
 public:
  struct State {
    std::deque<double> recent_norms;  ///< the finite ones, the oldest first, at most kMostNorms
    std::int64_t skipped_steps = 0;   ///< in the whole run
    std::int64_t consecutive_non_finite = 0;
  };

  static constexpr std::size_t kMostNorms = 128;
  /// Norms that must be known before the median counts: early norms are large and fall quickly.
  static constexpr std::size_t kFewestNorms = 16;
  /// So many non-finite steps in a row mean that the run has diverged.
  static constexpr std::int64_t kDivergedAfter = 3;

  /// 0: only non-finite steps are skipped.
  explicit SkipRule(double skip_above) : skip_above_(skip_above) {}

  /// Whether the step is to be skipped; updates the statistics.
  bool skips(double loss, double gradient_norm);

  /// The largest norm with which skips() would let the next step pass: infinity where there is no
  /// limit. For those who must decide before the host knows the norm.
  double largest_norm() const;

  bool diverged() const { return state_.consecutive_non_finite >= kDivergedAfter; }

  const State& state() const { return state_; }
  void set_state(State state) { state_ = std::move(state); }

 private:
  double skip_above_;
  State state_;
};

}  // namespace zebra
