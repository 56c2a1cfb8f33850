#include "train/trainer.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "base/text.h"
#include "checkpoint/folder.h"
#include "checkpoint/model_state.h"
#include "config/window_schedule.h"
#include "eval/generate.h"
#include "eval/perplexity.h"
#include "model/placement.h"
#include "ops/attention_operator.h"
#include "ops/fused_kernels.h"
#include "ops/part_scope.h"
#include "ops/tensor_memory.h"
#include "train/device_figures.h"
#include "train/run_messages.h"
#include "train/stop_signal.h"

namespace zebra {
namespace {

constexpr std::int64_t kSampleTokens = 64;

// "cuda:0", "8 ranks (cuda)".
std::string ranks_text(int ranks, torch::Device device) {
  return ranks == 1
             ? device.str()
             : std::to_string(ranks) + " ranks (" + c10::DeviceTypeName(device.type(), true) + ")";
}

double learning_rate(const Config& config, std::int64_t step) {
  return config.optimizer.lr * learning_rate_factor(config.schedule, step, config.train.max_steps);
}

// What moves with train.max_steps may have been further at the last step of the shorter run.
void warn_of_schedules_that_go_back(const Config& saved, const Config& config, std::int64_t step) {
  if (saved.train.max_steps == config.train.max_steps) return;
  const auto warn = [&](const std::string& what, const std::string& before,
                        const std::string& next) {
    log_warning("the schedule now runs over " + std::to_string(config.train.max_steps) +
                " steps, not " + std::to_string(saved.train.max_steps) + ": the " + what +
                " again, from " + before + " at step " + std::to_string(step) + " to " + next);
  };
  const double rate = learning_rate(saved, step), next_rate = learning_rate(config, step + 1);
  if (next_rate > rate) warn("learning rate rises", scientific(rate), scientific(next_rate));
  const auto window = window_at(saved, step), next_window = window_at(config, step + 1);
  if (window_moves(config) && next_window < window) {
    warn("window of local layers shrinks", std::to_string(window), std::to_string(next_window));
  }
}

ShardingOptions sharding_options(const Config& config) {
  return {config.parallel.sharding, weight_type(config.train.precision),
          weight_type(config.parallel.reduce_precision)};
}

// Without our attention kernels the host makes a call for each document, which no graph can follow.
DeviceGraphs graphs_of(const Config& config, torch::Device device) {
  if (!config.train.cuda_graph) return {};
  auto graphs = device_graphs(device);
  const auto head =
      torch::empty({1, 1, 3, config.model.head_dim},
                   torch::TensorOptions(device).dtype(weight_type(config.train.precision)));
  if (wants_reference_kernels() || !has_local_attention_kernel(head)) {
    throw InputError(
        "train.cuda_graph: needs our attention kernels, which are switched off by "
        "ZEBRA_KERNEL=reference or have no heads of model.head_dim " +
        std::to_string(config.model.head_dim) + " on a GPU; set train.cuda_graph to false");
  }
  return graphs;
}

}  // namespace

Trainer::Trainer(const Config& config, const Tokenizer& tokenizer, TrainingData data,
                 TokenDatasets validation, RunFolder& folder, Job& job)
    : config_(config),
      tokenizer_(tokenizer),
      tokenizer_files_(tokenizer.files()),
      folder_(folder),
      job_(job),
      device_(resolve_device(config.run.device, job.launch().local_rank)),
      mesh_(job, config.parallel, device_),
      context_(mesh_.context()),
      data_(std::move(data)),
      validation_(std::move(validation)),
      model_(config.model, ParameterMemory::placeholder),
      parallel_(model_, sharding_options(config), mesh_.groups(), device_, config.run.seed),
      gradients_(model_, parallel_, device_, config.train.z_loss, graphs_of(config, device_)),
      // The masters start as the rounded weights, so that a checkpoint of step 0 and the model
      // agree.
      optimizer_(config.optimizer, parallel_),
      layer_meter_(config_, parallel_, optimizer_, mesh_.all(), device_),
      skip_rule_(config.train.skip_above),
      alerts_(config.train.alert),
      checkpoints_(config, folder, job) {
  set_numerics(config.train.deterministic, device_);
  if (device_.is_cpu()) keep_tensor_memory();
  model_->set_activation_checkpointing(config.train.activation_checkpointing);
  if (config.parallel.context > 1) model_->set_context(&context_);
  state_.dataset_fingerprints = fingerprints_of(data_.sources());
  state_.validation_fingerprints = fingerprints_of(validation_);
}

void Trainer::resume(Checkpoint& checkpoint) {
  auto state = TrainingState::from_json(checkpoint.training());
  if (state.dataset_fingerprints != state_.dataset_fingerprints) {
    throw InputError(
        checkpoint.folder().string() +
        ": was saved while training on other data: the fingerprints of data.train "
        "differ; use the datasets of that run, or set another run.dir to start a new one");
  }
  load_training_tensors(checkpoint, parallel_.units(), optimizer_);
  optimizer_.set_steps_taken(state.optimizer_steps);
  skip_rule_.set_state(state.skip);
  loss_spikes_.set_state(state.loss_spikes.value_or(SpikeScore::State()));
  grad_norm_spikes_.set_state(state.grad_norm_spikes.value_or(SpikeScore::State()));
  // Another set may be judged by from here on, and another run's rows are not in this one's file.
  state.validation_fingerprints = state_.validation_fingerprints;
  if (checkpoint.folder().parent_path() != checkpoint_folder(folder_.path(), 0).parent_path())
    state.metrics_rows.reset();
  state_ = std::move(state);
  checkpoints_.set_newest(checkpoint.folder());
  warn_of_schedules_that_go_back(checkpoint.config(), config_, state_.step);
}

void Trainer::start_from(Checkpoint& checkpoint) {
  load_initial_weights(checkpoint, parallel_.units(), optimizer_);
}

TrainOutcome Trainer::run(std::int64_t stop_after, const StepObserver& on_step) {
  const c10::DeviceGuard guard(device_);
  if (device_.is_cuda()) mark_nvtx_ranges();
  if (job_.is_first()) {
    metrics_ = std::make_shared<MetricsLog>(folder_.path() / "metrics.jsonl", state_.step,
                                            state_.metrics_rows, config_.logging.tensorboard);
    data_.store_plans();
  }
  const auto last_step =
      stop_after > 0 ? std::min(stop_after, config_.train.max_steps) : config_.train.max_steps;
  if (state_.step >= last_step) return finish();
  set_status(RunState::running, "");
  log_start(config_, data_, ranks_text(job_.ranks(), device_), state_.step + 1, last_step);
  if (const auto flops = sheet_flops(device_, config_.train.precision))
    sheet_flops_ = *flops * job_.ranks();
  last_logged_ = monotonic_seconds();
  started_ = last_logged_ - state_.seconds;
  tokens_last_logged_ = state_.tokens;
  parallel_.publish_weights();

  // What a step gave is read when the next one's gradients are under way, so that a GPU never waits
  // for the host; at once where something is to be done with it.
  Prefetch prefetch(data_, state_.step + 1);
  for (auto step = state_.step + 1; step <= last_step; ++step) {
    const auto batch = next_batch(prefetch);
    const auto sums = compute_gradients(step, batch);
    if (in_flight_) {
      if (const auto outcome = finish_step(last_step, on_step)) return *outcome;
    }
    start_update(step, batch, sums);
    if (is_eventful(step, last_step)) {
      if (const auto outcome = finish_step(last_step, on_step)) return *outcome;
    }
  }
  return finish();
}

bool Trainer::is_eventful(std::int64_t step, std::int64_t last_step) const {
  const bool is_asked_to_stop = job_.ranks() == 1 && stop_signal() != 0;
  return step == last_step || is_asked_to_stop || is_due(config_.logging.every_steps, step) ||
         is_due(config_.parallel.check_replicas_every, step) ||
         is_due(config_.eval.every_steps, step) || is_due(config_.checkpoint.every_steps, step);
}

// All that follows a step; the outcome of the run where it ends here.
std::optional<TrainOutcome> Trainer::finish_step(std::int64_t last_step,
                                                 const StepObserver& on_step) {
  const auto metrics = take_results();
  if (on_step) on_step(metrics);
  const auto content = [this] { return checkpoint_content(); };
  job_.set_timeout(config_.parallel.timeout);
  write_rows(metrics);
  const auto alarm = check_alerts(metrics);
  checkpoints_.poll(state_.step);
  if (skip_rule_.diverged()) {
    checkpoints_.save_now(state_.step, content);
    return stop(TrainOutcome::diverged, RunState::failed,
                "diverged: the loss or gradient norm was not finite in " +
                    std::to_string(SkipRule::kDivergedAfter) + " steps in a row");
  }
  if (is_due(config_.parallel.check_replicas_every, state_.step)) {
    parallel_.finish_publishing();
    parallel_.check_replicas(job_);
  }
  if (is_due(config_.eval.every_steps, state_.step) && !validate()) {
    checkpoints_.save_now(state_.step, content);
    return stop(TrainOutcome::diverged, RunState::failed,
                "diverged: the validation loss is not finite");
  }
  const int signal = job_.ranks() == 1 ? stop_signal() : agreed_signal_;
  if (state_.step == last_step || signal != 0 || alarm == AlertAction::stop) {
    checkpoints_.save_now(state_.step, content);
  } else if (is_due(config_.checkpoint.every_steps, state_.step) ||
             alarm == AlertAction::checkpoint) {
    last_logged_ += checkpoints_.save_due(state_.step, content);  // the rate is that of training
  }
  if (alarm == AlertAction::stop)
    return stop(TrainOutcome::alerted, RunState::failed, "stopped by train.alert");
  if (signal == 0 || state_.step == last_step) return std::nullopt;
  return stop(TrainOutcome::stopped, RunState::stopped, "stopped by " + stop_signal_name(signal));
}

TrainOutcome Trainer::finish() {
  const bool complete = state_.step >= config_.train.max_steps;
  const bool beyond = state_.step > config_.train.max_steps;
  return stop(TrainOutcome::finished, complete ? RunState::finished : RunState::stopped,
              beyond ? "nothing left to train: train.max_steps is " +
                           std::to_string(config_.train.max_steps)
              : complete ? "all steps done"
                         : "stopped by --stop-after");
}

// Due every so many steps and after the last one; never where `every_steps` is 0.
bool Trainer::is_due(std::int64_t every_steps, std::int64_t step) const {
  return every_steps > 0 && (step % every_steps == 0 || step == config_.train.max_steps);
}

StepBatch Trainer::next_batch(Prefetch& prefetch) {
  ZEBRA_PART("waiting for data");
  job_.begin("waiting for data");
  const double began = monotonic_seconds();
  auto batch = prefetch.next();
  seconds_waited_for_data_ += monotonic_seconds() - began;
  return batch;
}

// Of the step whose gradients are complete. The device decides itself whether the update is done:
// nothing here waits for it.
void Trainer::start_update(std::int64_t step, const StepBatch& batch, const torch::Tensor& sums) {
  ZEBRA_PART("optimizer");
  const auto norm = parallel_.gradient_norm();
  const double lr = learning_rate(config_, step);
  const bool is_measured = is_due(config_.logging.layers_every, step);
  if (is_measured) layer_meter_.before_update();
  // A step without a single target says nothing about the model's health.
  if (batch.counted_targets > 0) {
    optimizer_.step(
        lr, update_decision(sums[0], norm, skip_rule_.largest_norm(), config_.train.grad_clip));
    parallel_.publish_weights();
  }
  in_flight_.emplace(StepInFlight{step, batch.counted_targets, batch.target_weight, batch.sources,
                                  lr, DeferredValues(torch::cat({sums, norm.unsqueeze(0)})),
                                  std::nullopt});
  if (is_measured) in_flight_->layers = layer_meter_.after_update();
}

// Waits for the step in flight and takes it into the state.
StepMetrics Trainer::take_results() {
  auto in_flight = std::exchange(in_flight_, std::nullopt).value();
  const auto values = in_flight.values.get();
  const double loss = values.front() / in_flight.target_weight;
  const double norm = values.back();
  const bool skipped = in_flight.counted_targets == 0 || skip_rule_.skips(loss, norm);
  if (!skipped) optimizer_.set_steps_taken(optimizer_.steps_taken() + 1);
  agreed_signal_ = 0;
  for (std::size_t i = 0; i < kStopSignals.size(); ++i) {
    if (agreed_signal_ == 0 && values[1 + i] > 0.0) agreed_signal_ = kStopSignals[i];
  }

  state_.step = in_flight.step;
  state_.optimizer_steps = optimizer_.steps_taken();
  state_.tokens += config_.train.global_batch_size * config_.data.sequence_length;
  state_.seconds = monotonic_seconds() - started_;
  state_.skip = skip_rule_.state();
  state_.validation_loss.reset();
  std::optional<std::int64_t> window;
  if (window_moves(config_)) window = window_at(config_, state_.step);
  std::optional<LayerHealth> layers;
  if (in_flight.layers)
    layers = layer_meter_.health(in_flight.layers->get(), in_flight.counted_targets);
  return {.step = state_.step,
          .loss = loss,
          .grad_norm = norm,
          .lr = in_flight.lr,
          .skipped = skipped,
          .tokens = state_.tokens,
          .tokens_per_second = 0.0,
          .seconds = state_.seconds,
          .sources = std::move(in_flight.sources),
          .window = window,
          .spike_score = loss_spikes_.add(loss),
          .grad_norm_spike_score = grad_norm_spikes_.add(norm),
          .layers = std::move(layers)};
}

// Returns, float64 on the device, the weighted sum of all ranks' losses and the number of ranks
// that each of kStopSignals has come to: ranks get theirs at different moments, and must stop after
// the same step.
torch::Tensor Trainer::compute_gradients(std::int64_t step, const StepBatch& batch) {
  job_.set_step(step);
  model_->set_window(window_at(config_, step));
  const bool is_measured = is_due(config_.logging.layers_every, step);
  const auto loss = gradients_.add(
      batch, [this] { job_.begin("computing"); },
      is_measured ? &layer_meter_.statistics() : nullptr);
  const auto totals = torch::cat({loss, stop_requests(device_)});
  mesh_.all().all_reduce(totals, "the loss").wait();
  return totals.to(torch::kFloat64);
}

void Trainer::write_rows(const StepMetrics& metrics) {
  if (is_due(config_.logging.every_steps, state_.step) || metrics.skipped) write_step_row(metrics);
  if (metrics_ && metrics.layers) metrics_->add_layers(state_.step, *metrics.layers);
}

void Trainer::write_step_row(StepMetrics row) {
  const double now = monotonic_seconds();
  const double seconds = std::max(now - last_logged_, 1e-9);
  row.tokens_per_second = static_cast<double>(state_.tokens - tokens_last_logged_) / seconds;
  row.checkpoint_seconds_lost = checkpoints_.take_seconds_lost();
  row.checkpoint_seconds = checkpoints_.take_seconds_taken();
  row.data_share = std::exchange(seconds_waited_for_data_, 0.0) / seconds;
  row.memory_gib = memory_gib(device_);
  row.spike_score = loss_spikes_.take_highest();
  row.grad_norm_spike_score = grad_norm_spikes_.take_highest();
  if (sheet_flops_)
    row.mfu = row.tokens_per_second * flops_per_token(config_, model_->window()) / *sheet_flops_;
  last_logged_ = now;
  tokens_last_logged_ = state_.tokens;
  if (metrics_) metrics_->add(row);
  folder_.retry_status();
  log_step(config_, row, state_.skip.skipped_steps);
}

// The strongest action of the bounds that this step passed, the same on every rank.
std::optional<AlertAction> Trainer::check_alerts(const StepMetrics& metrics) {
  std::optional<AlertAction> strongest;
  for (const auto& [action, message] : alerts_.check(metrics)) {
    strongest = std::max(strongest.value_or(action), action);
    if (job_.is_first()) log_warning("step " + std::to_string(state_.step) + "  " + message);
  }
  return strongest;
}

bool Trainer::validate() {
  const double began = monotonic_seconds();
  const auto result = evaluate_perplexity(
      model_, tokenizer_, validation_,
      {.length = config_.data.sequence_length,
       .max_tokens = config_.eval.max_tokens,
       .document_mask = config_.data.document_mask,
       .weights = given_weights(config_.data.validation),
       .progress = [this](std::int64_t, std::int64_t) { job_.begin("validating"); },
       .ranks = &mesh_.all()});
  if (metrics_) metrics_->add_validation(state_.step, result);
  log_validation(state_.step, result);
  if (!std::isfinite(result.loss())) return false;
  state_.validation_loss = result.loss();
  write_sample();
  last_logged_ += monotonic_seconds() - began;  // the rate is that of training
  return true;
}

// Every rank generates the same text: with split weights they need one another.
void Trainer::write_sample() {
  if (!tokenizer_.obstacle().empty()) return;
  const auto tokens = generate(
      model_, {tokenizer_.bos()},
      {.max_new_tokens = kSampleTokens, .seed = config_.run.seed, .stop_token = tokenizer_.eos()},
      [this](std::int32_t) { job_.begin("writing a sample"); });
  if (!job_.is_first()) return;
  const auto samples = folder_.path() / "samples";
  const auto name = checkpoint_folder("", state_.step).filename().string() + ".txt";
  const auto text = tokenizer_.decode(tokens);
  sample_writes_.attempt([&] {
    std::filesystem::create_directories(samples);
    write_file_atomically(samples / name, text + "\n");
  });
  if (metrics_) metrics_->add_sample(state_.step, text);
}

CheckpointContent Trainer::checkpoint_content() {
  TrainingState state = state_;
  if (skip_rule_.diverged()) state.skip.consecutive_non_finite = 0;  // it has three tries again
  state.loss_spikes = loss_spikes_.state();
  state.grad_norm_spikes = grad_norm_spikes_.state();
  if (metrics_) state.metrics_rows = metrics_->rows();
  parallel_.finish_publishing();  // in fp32 the masters are part of what is on its way
  return {state_.step,
          config_,
          tokenizer_files_,
          state.to_json(),
          training_tensors(parallel_.units(), *parallel_.groups().replicas, optimizer_),
          [metrics = metrics_] {
            if (metrics) metrics->flush();
          }};
}

void Trainer::set_status(RunState state, const std::string& reason) const {
  if (job_.is_first()) folder_.set_status(state, state_.step, reason, checkpoints_.newest());
}

TrainOutcome Trainer::stop(TrainOutcome outcome, RunState state, const std::string& reason) {
  set_status(state, reason);
  if (job_.is_first()) folder_.retry_status();  // nothing else will
  log_info("step " + std::to_string(state_.step) + "  " + reason);
  return outcome;
}

}  // namespace zebra
