#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ablation/sweep.h"
#include "ablation/sweep_folder.h"

// What a sweep tells: before it runs, its arms and their cost; later, what their files say so far.

namespace zebra {

/// The arms and what each will cost, one a line, with a total: for people. There is at least one.
std::string arms_table(const std::vector<Arm>& arms);

/// The same as {"arms": […], "total": {…}}; settings are YAML texts by key.
nlohmann::ordered_json arms_json(const std::vector<Arm>& arms);

/// A pattern of layers as a table can show it: up to 12 letters as they are, longer ones as
/// "GLLL x 8", "GLL x 10 + GL", or, where nothing repeats, "GLGGLLGLLGGL... (32)".
std::string short_pattern(const std::string& pattern);

/// One row of metrics.jsonl.
struct CurvePoint {
  std::int64_t step = 0;
  std::optional<double> loss;  ///< nats per token; none where it is not finite
};

/// What a source gave to an arm's training: shares of what all its sources gave, in
/// the logged steps.
struct SourceShares {
  double samples = 0.0;
  double targets = 0.0;  ///< of those that count
  double loss = 0.0;     ///< of their loss weights, on the mean of the steps
};

/// What the files of an arm tell so far.
struct ArmResult {
  ArmStatus status;
  std::int64_t step = 0;
  std::vector<CurvePoint> training, validation;
  std::vector<SourceShares>
      sources;  ///< in the order of training_sources; empty: none logged so far
  std::optional<double> tokens_per_second;  ///< the median
  std::optional<double> peak_memory_gib;
  double seconds = 0.0;
  std::string recall;  ///< JSON as `zebra recall` wrote it; empty until the arm is finished
};

struct SweepResults {
  std::vector<ArmResult> arms;  ///< in the order of the sweep's
  std::vector<std::string>
      cost;  ///< of each of cost_runs, JSON as `zebra bench` wrote it; empty: not measured
};

/// Throws InputError when a file of an arm cannot be read.
SweepResults collect_results(const Sweep& sweep);

/// Everything that the report is made of (scripts/ablation_report says which keys): what each arm
/// is, what it costs by the closed forms, and its results. The same runs give the same numbers, but
/// for those of time and memory.
nlohmann::ordered_json results_json(const Sweep& sweep, const SweepResults& results);

/// Writes what is there so far to DIR/report/results.json, and returns its path.
std::filesystem::path write_results(const Sweep& sweep);

/// Writes DIR/report/results.json and has scripts/ablation_report make the report beside it;
/// returns the report's first page. Throws RunError with the command to run by hand when there is
/// no Python that can.
std::filesystem::path write_report(const Sweep& sweep);

}  // namespace zebra
