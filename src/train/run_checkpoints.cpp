#include "train/run_checkpoints.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "base/text.h"
#include "checkpoint/folder.h"
#include "distributed/communicator.h"
#include "ops/part_scope.h"

namespace zebra {

namespace {

// Members that every checkpoint has.
template <class State, class Visit>
void for_each_member(State& state, const Visit& visit) {
  visit("step", state.step);
  visit("optimizer_steps", state.optimizer_steps);
  visit("tokens", state.tokens);
  visit("seconds", state.seconds);
  visit("recent_norms", state.skip.recent_norms);
  visit("skipped_steps", state.skip.skipped_steps);
  visit("consecutive_non_finite", state.skip.consecutive_non_finite);
  visit("dataset_fingerprints", state.dataset_fingerprints);
}

// Members that it may lack.
template <class State, class Visit>
void for_each_optional_member(State& state, const Visit& visit) {
  visit("validation_fingerprints", state.validation_fingerprints);
  visit("metrics_rows", state.metrics_rows);
  visit("validation_loss", state.validation_loss);
  visit("loss_spikes", state.loss_spikes);
  visit("grad_norm_spikes", state.grad_norm_spikes);
}

}  // namespace

nlohmann::ordered_json TrainingState::to_json() const {
  nlohmann::ordered_json json;
  for_each_member(*this, [&](const char* name, const auto& value) { json[name] = value; });
  for_each_optional_member(*this, [&](const char* name, const auto& value) {
    if (value) json[name] = *value;
  });
  return json;
}

TrainingState TrainingState::from_json(const nlohmann::ordered_json& json) {
  try {
    TrainingState state;
    for_each_member(state, [&](const char* name, auto& value) { json.at(name).get_to(value); });
    for_each_optional_member(state, [&](const char* name, auto& value) {
      if (json.contains(name)) json.at(name).get_to(value.emplace());
    });
    return state;
  } catch (const nlohmann::json::exception& error) {
    throw InputError(std::string("the checkpoint holds no training state to go on from: ") +
                     error.what());
  }
}

RunCheckpoints::RunCheckpoints(const Config& config, RunFolder& folder, Job& job)
    : config_(config),
      folder_(folder),
      job_(job),
      writer_(job.text_collectives("checkpoint"), [this] { prune(); }) {}

double RunCheckpoints::save_due(std::int64_t step, const Content& content) {
  const double began = monotonic_seconds();
  if (config_.checkpoint.when_busy == WhenBusy::skip && is_writing()) {
    log_warning("step " + std::to_string(step) +
                "  no checkpoint: the one before is still being written");
    return 0.0;
  }
  finish(step, /*must_succeed=*/false);
  start(content);
  if (!config_.checkpoint.asynchronous) finish(step, /*must_succeed=*/false);
  const double lost = monotonic_seconds() - began;
  seconds_lost_ += lost;
  return lost;
}

void RunCheckpoints::save_now(std::int64_t step, const Content& content) {
  finish(step, /*must_succeed=*/false);
  start(content);
  finish(step, /*must_succeed=*/true);
}

void RunCheckpoints::poll(std::int64_t step) { note(writer_.poll(), step, /*must_succeed=*/false); }

double RunCheckpoints::take_seconds_lost() { return std::exchange(seconds_lost_, 0.0); }

std::optional<double> RunCheckpoints::take_seconds_taken() {
  return std::exchange(seconds_taken_, std::nullopt);
}

// Whether any rank is still at the checkpoint before.
bool RunCheckpoints::is_writing() const {
  const auto ranks =
      job_.all_gather(writer_.is_busy() ? "busy" : "", "whether a checkpoint is being written");
  return std::ranges::any_of(ranks, [](const auto& answer) { return !answer.empty(); });
}

void RunCheckpoints::start(const Content& content) {
  ZEBRA_PART("checkpoint");
  job_.begin("copying the state for a checkpoint");
  auto now = content();
  const auto folder = checkpoint_folder(folder_.path(), now.step);
  writer_.start(folder, std::move(now));
}

void RunCheckpoints::finish(std::int64_t step, bool must_succeed) {
  ZEBRA_PART("checkpoint");
  job_.begin("saving a checkpoint");
  note(writer_.wait([this] { job_.begin("saving a checkpoint"); }), step, must_succeed);
}

// Tells what became of a save.
void RunCheckpoints::note(const std::optional<CheckpointWriter::Outcome>& saved, std::int64_t step,
                          bool must_succeed) {
  if (!saved) return;
  const auto set_status = [&](const std::string& reason) {
    if (job_.is_first()) folder_.set_status(RunState::running, step, reason, newest_);
  };
  // A save ends while later steps are under way: lines of the log stand in the order of steps.
  const std::string of = std::to_string(saved->step);
  const std::string name = step <= saved->step ? "step " + of + "  "
                                               : "step " + std::to_string(step) +
                                                     "  the checkpoint of step " + of + ": ";
  try {
    if (saved->error) std::rethrow_exception(saved->error);
    newest_ = saved->folder;
    seconds_taken_ = saved->seconds;
    set_status("");
    log_info(name + "saved " + saved->folder.string() + " in " + fixed(saved->seconds, 1) + " s");
  } catch (const CollectiveError&) {
    throw;
  } catch (const RunError& error) {
    if (must_succeed) throw;
    set_status(error.what());
    if (!job_.is_first()) return;
    const auto every = config_.checkpoint.every_steps;
    const auto next = std::min((step / every + 1) * every, config_.train.max_steps);
    log_error(name + error.what() + "; training goes on, and the next checkpoint is due " +
              "at step " + std::to_string(next));
  }
}

void RunCheckpoints::prune() {
  if (!job_.is_first()) return;
  try {
    const auto& keep = config_.checkpoint;
    for (const auto& [step, fault] :
         prune_checkpoints(folder_.path(), {keep.keep_last, keep.keep_every, keep.keep_best})) {
      if (told_unreadable_.insert(step).second)
        log_warning(fault + "; it is kept, for it may be one of the best: remove it by hand");
    }
  } catch (const std::exception& error) {
    log_warning(std::string("an old checkpoint could not be deleted: ") + error.what());
  }
}

}  // namespace zebra
