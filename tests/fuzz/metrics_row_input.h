#pragma once

#include <cmath>
#include <stdexcept>
#include <string>
#include <string_view>

#include "ablation/sweep_folder.h"

namespace zebra::testing {

/// Reads `input` as a line of metrics.jsonl. Anything thrown is a finding.
inline void try_metrics_row(std::string_view input) {
  const auto row = read_metrics_row(std::string(input));
  if (!row) return;
  if (row->step < 0) throw std::logic_error("the step is negative");
  for (const double value :
       {row->loss.value_or(0.0), row->tokens_per_second, row->seconds, row->memory_gib}) {
    if (!std::isfinite(value)) throw std::logic_error("a value is not finite");
  }
}

}  // namespace zebra::testing
