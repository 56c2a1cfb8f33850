#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/names.h"

// Where a sweep keeps its things below DIR, and what became of its arms: all of it is in files, so
// that a sweep that was stopped goes on.

namespace zebra {

/// Where one arm of a sweep keeps its things: below DIR/arms, its run file, its run folder (an
/// ordinary one), its log, and why it failed if it did.
struct ArmPaths {
  ArmPaths(const std::filesystem::path& sweep, const std::string& arm);

  std::filesystem::path run_file, run, log, lock, failure;

  std::filesystem::path recall() const { return run / "recall.json"; }
  std::filesystem::path metrics() const { return run / "metrics.jsonl"; }
};

/// Measured cost by length, where the sweep asks for it: DIR/cost.json, or of a size of a ladder
/// DIR/cost-SIZE.json.
std::filesystem::path cost_file(const std::filesystem::path& sweep, const std::string& size = "");

/// What the report is made of: DIR/report/results.json.
std::filesystem::path results_file(const std::filesystem::path& sweep);

/// Where the training probes for runs of that sequence length lie: DIR/data/probes-LENGTH.
std::filesystem::path probe_dataset_path(const std::filesystem::path& sweep,
                                         std::int64_t sequence_length);

enum class ArmState { unfinished, finished, failed };

template <>
struct EnumNames<ArmState> {
  static constexpr NameTable<ArmState, 3> kTable{{{ArmState::unfinished, "unfinished"},
                                                  {ArmState::finished, "finished"},
                                                  {ArmState::failed, "failed"}}};
};

/// What an arm's files have to hold before it is finished.
struct ArmGoal {
  std::int64_t steps = 0;
  std::string asked;  ///< JSON: what its recall is asked (see asked_json)
};

struct ArmStatus {
  ArmState state = ArmState::unfinished;
  std::string reason;       ///< of a failure, or why recall that was measured does not count
  bool is_final = false;    ///< whether another attempt would end alike to the bit
  bool is_trained = false;  ///< all steps of the goal are done
};

/// What became of an arm so far, from its files. One that trained to its end but was not measured,
/// or asked something else than the goal has, is unfinished.
ArmStatus read_arm_status(const ArmPaths& paths, const ArmGoal& goal);

/// The steps of a run that has come to its end; nothing where it has not.
std::optional<std::int64_t> steps_of_finished_run(const std::filesystem::path& run);

/// Why the run in that folder says that it failed; empty where it says something else.
std::string recorded_failure(const std::filesystem::path& run);

/// What a source gave to a step.
struct SourceMetrics {
  double samples = 0.0, targets = 0.0;
  double loss_share = 0.0;  ///< of the step's loss weights
};

/// A line of metrics.jsonl, as far as sweeps read it.
struct MetricsRow {
  std::int64_t step = 0;
  bool is_training = false, is_validation = false;
  std::optional<double> loss;  ///< of either, in nats per token; none where it is not finite
  double tokens_per_second = 0, seconds = 0, memory_gib = 0;  ///< 0: not there
  std::vector<SourceMetrics> sources;  ///< in the order of training_sources; empty: not there
};

/// Nothing where the line is no row: damaged, or half-written.
std::optional<MetricsRow> read_metrics_row(const std::string& line);

/// The newest row of metrics.jsonl that tells of a step: 0 and no loss where there is none.
struct ArmProgress {
  std::int64_t step = 0;
  std::optional<double> loss;
};
ArmProgress read_arm_progress(const std::filesystem::path& metrics);

}  // namespace zebra
