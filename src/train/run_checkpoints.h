#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_writer.h"
#include "config/config.h"
#include "distributed/job.h"
#include "optim/schedule.h"
#include "train/run_folder.h"
#include "train/spike_score.h"

namespace zebra {

/// What a checkpoint must hold besides tensors so that training goes on to the bit. The data
/// position is the step; random numbers are functions of the seed and of positions, so they have no
/// state of their own.
struct TrainingState {
  std::int64_t step = 0;             ///< steps done, skipped ones included
  std::int64_t optimizer_steps = 0;  ///< updates done
  std::int64_t tokens = 0;
  double seconds = 0.0;  ///< spent training, over all restarts
  SkipRule::State skip;
  std::optional<double> validation_loss;          ///< at this very step, when it was validated
  std::vector<std::string> dataset_fingerprints;  ///< of training_sources, in order
  /// Of data.validation, in order; nothing where an older build saved.
  std::optional<std::vector<std::string>> validation_fingerprints;
  std::optional<std::int64_t> metrics_rows;  ///< in metrics.jsonl
  std::optional<SpikeScore::State> loss_spikes, grad_norm_spikes;

  nlohmann::ordered_json to_json() const;
  /// Throws InputError when a value is missing.
  static TrainingState from_json(const nlohmann::ordered_json& json);
};

/// The checkpoints of a run while it trains: they are written beside training, one at a time, and
/// superfluous ones are deleted. All ranks of the job call everything alike.
///
/// One that cannot be saved (a full disk) is reported, and the next is tried when it is due; only
/// the last one of a run must succeed. A rank that is lost meanwhile is an error at once.
class RunCheckpoints {
 public:
  /// Makes what a checkpoint of this moment is to hold. Called once the one before is written.
  using Content = std::function<CheckpointContent()>;

  /// Takes the sections run, train and checkpoint of the configuration.
  RunCheckpoints(const Config& config, RunFolder& folder, Job& job);

  /// The newest whole one, empty when there is none. A run that goes on from one names it.
  const std::filesystem::path& newest() const { return newest_; }
  void set_newest(std::filesystem::path checkpoint) { newest_ = std::move(checkpoint); }

  /// Saves one that is due at `step`: goes on writing after the return with
  /// checkpoint.asynchronous. Where the one before is still being written it waits, or leaves this
  /// one out (checkpoint.when_busy). Returns the seconds for which training stood still.
  double save_due(std::int64_t step, const Content& content);

  /// Saves one that is whole on return, for the end of a run. Throws RunError.
  void save_now(std::int64_t step, const Content& content);

  /// Takes note of a save that has come to its end, if any; `step` is the one that training is at.
  void poll(std::int64_t step);

  /// Seconds for which training stood still since the last call.
  double take_seconds_lost();

  /// Seconds that the last save took, where one has ended since the last call.
  std::optional<double> take_seconds_taken();

 private:
  bool is_writing() const;
  void start(const Content& content);
  void finish(std::int64_t step, bool must_succeed);
  void note(const std::optional<CheckpointWriter::Outcome>& saved, std::int64_t step,
            bool must_succeed);
  void prune();

  const Config config_;
  RunFolder& folder_;
  Job& job_;
  std::filesystem::path newest_;
  double seconds_lost_ = 0.0;
  std::optional<double> seconds_taken_;
  std::set<std::int64_t> told_unreadable_;  // by the writer's thread alone
  CheckpointWriter writer_;                 // last: a save on its way needs the rest
};

}  // namespace zebra
