#pragma once

#include <nlohmann/json_fwd.hpp>

#include "ablation/arms.h"

namespace zebra {

/// Everything that the report of a sweep is made of (scripts/ablation_report says which keys): what
/// each arm is, what it costs by the closed forms, and what its run folder tells so far. The same
/// runs give the same numbers, but for those of time and memory. Throws InputError when a file of
/// an arm cannot be read.
nlohmann::ordered_json collect_results(const Ablation& ablation);

/// Writes DIR/report/results.json and has scripts/ablation_report make the report beside it. Throws
/// RunError with the command to run by hand when there is no Python that can.
void write_report(const Ablation& ablation);

}  // namespace zebra
