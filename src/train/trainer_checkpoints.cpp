// How a training run saves itself: the part of Trainer that deals with checkpoints.

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "base/text.h"
#include "checkpoint/folder.h"
#include "checkpoint/model_state.h"
#include "distributed/communicator.h"
#include "ops/part_scope.h"
#include "train/trainer.h"

namespace zebra {

void Trainer::save_when_due() {
  const double began = monotonic_seconds();
  if (config_.checkpoint.when_busy == WhenBusy::skip && is_saving()) {
    log_warning("step " + std::to_string(state_.step) +
                "  no checkpoint: the one before is still being written");
    return;
  }
  finish_saving(/*must_succeed=*/false);
  start_saving();
  if (!config_.checkpoint.asynchronous) finish_saving(/*must_succeed=*/false);
  const double lost = monotonic_seconds() - began;
  last_logged_ += lost;  // the rate is that of training
  checkpoint_seconds_lost_ += lost;
}

// A checkpoint that is whole on return, for the end of a run.
void Trainer::save_now() {
  finish_saving(/*must_succeed=*/false);
  start_saving();
  finish_saving(/*must_succeed=*/true);
}

// Whether any rank is still at the checkpoint before.
bool Trainer::is_saving() const {
  const auto ranks =
      job_.all_gather(writer_.is_busy() ? "busy" : "", "whether a checkpoint is being written");
  return std::ranges::any_of(ranks, [](const auto& answer) { return !answer.empty(); });
}

void Trainer::start_saving() {
  ZEBRA_PART("checkpoint");
  TrainingState state = state_;
  state.skip.consecutive_non_finite = skip_rule_.diverged() ? 0 : state.skip.consecutive_non_finite;
  job_.begin("copying the state for a checkpoint");
  parallel_.finish_publishing();  // in fp32 the masters are part of what is on its way
  writer_.start(checkpoint_folder(folder_.path(), state_.step),
                {state_.step, config_, folder_.path() / "tokenizer.model", state.to_json(),
                 training_tensors(parallel_.units(), *parallel_.groups().replicas, optimizer_)});
}

void Trainer::finish_saving(bool must_succeed) {
  ZEBRA_PART("checkpoint");
  job_.begin("saving a checkpoint");
  note_saved(writer_.wait([this] { job_.begin("saving a checkpoint"); }), must_succeed);
}

// Tells what became of a save. A lost rank is an error at once.
void Trainer::note_saved(const std::optional<CheckpointWriter::Outcome>& saved, bool must_succeed) {
  if (!saved) return;
  const std::string step = "step " + std::to_string(saved->step);
  try {
    if (saved->error) std::rethrow_exception(saved->error);
    newest_checkpoint_ = saved->folder;
    set_status(RunState::running, "");
    log_info(step + "  saved " + saved->folder.string() + " in " + fixed(saved->seconds, 1) + " s");
  } catch (const CollectiveError&) {
    throw;
  } catch (const RunError& error) {
    if (must_succeed) throw;
    set_status(RunState::running, error.what());
    if (job_.is_first()) {
      log_error(step + "  " + error.what() + "; training goes on, and the next checkpoint is due " +
                "at step " + std::to_string(next_due(config_.checkpoint.every_steps)));
    }
  }
}

void Trainer::prune() const {
  if (!job_.is_first()) return;
  try {
    const auto& keep = config_.checkpoint;
    prune_checkpoints(folder_.path(), {keep.keep_last, keep.keep_every, keep.keep_best});
  } catch (const std::exception& error) {
    log_warning(std::string("an old checkpoint could not be deleted: ") + error.what());
  }
}

}  // namespace zebra
