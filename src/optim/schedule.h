#pragma once

#include <cstdint>

#include "config/config.h"

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

/// Previous tokens that local layers see at `step` (from 1): with window_warmup_steps = N, `window`
/// x step / N rounded down, at least 1 (0 where `window` is); all of `window` from step N on.
std::int64_t window_at(const ScheduleSection& schedule, std::int64_t window, std::int64_t step);

}  // namespace zebra
