#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "config/config.h"
#include "data/training_data.h"
#include "distributed/communicator.h"
#include "distributed/context_ranks.h"
#include "distributed/job.h"
#include "distributed/sharded_data_parallel.h"
#include "distributed/sharded_optimizer.h"
#include "model/zebra_model.h"
#include "optim/schedule.h"
#include "train/alerts.h"
#include "train/best_effort.h"
#include "train/layer_meter.h"
#include "train/metrics.h"
#include "train/metrics_log.h"
#include "train/run_checkpoints.h"
#include "train/run_folder.h"
#include "train/spike_score.h"
#include "train/step_gradients.h"

namespace zebra {

enum class TrainOutcome {
  finished,  ///< max_steps or --stop-after reached
  stopped,   ///< by a signal, after saving
  diverged,  ///< three non-finite steps in a row, after saving the last good state
  alerted,   ///< a bound of train.alert was passed that stops the run, after saving
};

/// One training run from its first or resumed step to its last.
///
/// A step: gradients of all micro-batches and ranks add up; loss, norm and skip rule decide; the
/// optimizer updates. Then metrics, validation and checkpoint, each when its turn has come. Where
/// nothing is due the host reads what a step gave while the next one is computed. All ranks of the
/// job do the same and come to the same decisions; the first writes what is for people.
class Trainer {
 public:
  /// Hears of each step once the host knows what it gave; tokens_per_second is that of logged
  /// steps alone, 0 here.
  using StepObserver = std::function<void(const StepMetrics&)>;

  /// `config` is resolved. Connects the ranks and builds the model with its initial weights. Keeps
  /// the bytes of the tokenizer's files for the checkpoints, whatever becomes of the files.
  Trainer(const Config& config, const Tokenizer& tokenizer, TrainingData data,
          TokenDatasets validation, RunFolder& folder, Job& job);

  /// Takes over weights, optimizer, statistics and position. Throws InputError when the checkpoint
  /// does not fit.
  void resume(Checkpoint& checkpoint);

  /// Takes over the weights alone (model.init_from). Throws InputError when they do not fit.
  void start_from(Checkpoint& checkpoint);

  /// Trains up to max_steps, or up to and including `stop_after` where that is not 0, and saves.
  TrainOutcome run(std::int64_t stop_after, const StepObserver& on_step = {});

 private:
  // A step, from its batch to what it gave.
  StepBatch next_batch(Prefetch& prefetch);
  torch::Tensor compute_gradients(std::int64_t step, const StepBatch& batch);
  void start_update(std::int64_t step, const StepBatch& batch, const torch::Tensor& sums);
  StepMetrics take_results();

  // What follows a step.
  bool is_due(std::int64_t every_steps, std::int64_t step) const;
  bool is_eventful(std::int64_t step, std::int64_t last_step) const;
  std::optional<TrainOutcome> finish_step(std::int64_t last_step, const StepObserver& on_step);
  std::optional<AlertAction> check_alerts(const StepMetrics& metrics);
  bool validate();
  void write_sample();
  CheckpointContent checkpoint_content();

  // What people are told.
  void write_rows(const StepMetrics& metrics);
  void write_step_row(StepMetrics row);
  void set_status(RunState state, const std::string& reason) const;

  // How it ends.
  TrainOutcome finish();
  TrainOutcome stop(TrainOutcome outcome, RunState state, const std::string& reason);

  /// A step whose update is queued on the device, or done; the state does not know of it yet.
  struct StepInFlight {
    std::int64_t step, counted_targets;
    double target_weight;
    std::vector<SourcePart> sources;
    double lr;
    DeferredValues values;                 ///< compute_gradients' sums, and the gradient norm
    std::optional<DeferredValues> layers;  ///< of the meter, in a measured step
  };

  Config config_;
  const Tokenizer& tokenizer_;
  const TokenizerFiles tokenizer_files_;
  RunFolder& folder_;
  Job& job_;
  torch::Device device_;
  DeviceMesh mesh_;
  ContextRanks context_;
  TrainingData data_;
  TokenDatasets validation_;
  ZebraModel model_;
  ShardedDataParallel parallel_;
  StepGradients gradients_;
  ShardedOptimizer optimizer_;
  LayerMeter layer_meter_;
  SkipRule skip_rule_;
  SpikeScore loss_spikes_, grad_norm_spikes_;
  Alerts alerts_;
  TrainingState state_;
  std::optional<StepInFlight> in_flight_;
  int agreed_signal_ = 0;  ///< that some rank was asked to stop by at the step that state_ is at
  std::shared_ptr<MetricsLog> metrics_;  // on the first rank; also of a save on its way
  BestEffort sample_writes_{"samples", "the next sample is written when it is due"};

  double started_ = 0.0;  // when this process began to train, less the seconds of earlier ones
  double last_logged_ = 0.0;
  std::int64_t tokens_last_logged_ = 0;
  double seconds_waited_for_data_ = 0.0;  // since then
  std::optional<double> sheet_flops_;     // of all ranks, per second

  RunCheckpoints checkpoints_;  // last: a save on its way reads what is above
};

}  // namespace zebra
