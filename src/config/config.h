#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/model_config.h"
#include "config/names.h"
#include "config/training_point.h"

// The typed run configuration, as written and as resolved. What each key means, its default and its
// range are declared once, in fields.h.

namespace zebra {

struct RunSection {
  std::string name;
  std::filesystem::path dir;
  std::int64_t seed = 1;
  Device device = Device::automatic;
};

struct RopeScalingSection {
  RopeScaling type = RopeScaling::none;
  double factor = 1.0;
  std::optional<std::int64_t> original_max_position_embeddings;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  ScaledLayers layers = ScaledLayers::all;

  bool operator==(const RopeScalingSection&) const = default;
};

/// The model as a run file says it. In a loaded file every optional that has a derived default is
/// filled, but vocab_size; the short forms (self_attn_type, layer_group_size, global_layer,
/// always_global, preset) are empty, and attention_pattern has one letter per layer.
struct ModelSection {
  std::optional<std::string> preset;
  std::optional<std::filesystem::path> init_from;  // a run or checkpoint; training starts from it
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::optional<std::int64_t> num_key_value_heads;
  std::optional<std::int64_t> head_dim;
  std::optional<std::int64_t> vocab_size;
  double rms_norm_eps = 1e-5;
  double initializer_range = 0.02;
  std::optional<std::int64_t> max_position_embeddings;
  double rope_theta = 10000.0;
  std::optional<double> global_rope_theta;  // 0: no rotary embedding in global layers
  std::optional<double> local_rope_theta;   // 0: no rotary embedding in local layers
  RopeScalingSection rope_scaling;
  bool tie_word_embeddings = false;
  std::optional<NormPlacement> norm_placement;
  QkNorm qk_norm = QkNorm::none;
  AttentionSink attention_sink = AttentionSink::none;
  std::optional<SelfAttention> self_attn_type;
  std::optional<std::int64_t> layer_group_size;
  std::optional<GlobalLayer> global_layer;
  std::optional<AlwaysGlobal> always_global;
  std::optional<std::int64_t> window_size;
  std::vector<WindowStage> window_schedule;
  std::optional<std::string> attention_pattern;
};

/// The model that a loaded section describes; vocab_size is 0 where the section leaves it out.
ModelConfig resolved(const ModelSection& section);
/// What `resolved` makes the same model of.
ModelSection written(const ModelConfig& model);

struct DataSource {
  std::filesystem::path path;
  std::optional<double> weight;
};

/// Of a source's weight in the loss: keeps the ratio of any two, and sums of them, far inside
/// float32.
inline constexpr double kLeastLossWeight = 1e-6, kMostLossWeight = 1e6;

struct TrainingSource : DataSource {
  double loss_weight = 1.0;
};

/// A stretch of training with sources of its own, behind the stage before it.
struct DataStage {
  TrainingPoint until;
  std::vector<TrainingSource> train;
};

struct DataSection {
  std::filesystem::path tokenizer;
  std::vector<TrainingSource> train;  // after the last stage
  std::vector<DataStage> stages;
  std::vector<DataSource> validation;
  std::int64_t sequence_length = 0;
  bool document_mask = true;
  Packing packing = Packing::concat;
  Overflow overflow = Overflow::error;
};

struct OptimizerSection {
  OptimizerType type = OptimizerType::adamw;
  double lr = 3e-4;
  double weight_decay = 0.1;
  std::array<double, 2> betas = {0.9, 0.95};
  double eps = 1e-8;
  double momentum = 0.95;  // of Muon
  MuonScale adjust_lr_fn = MuonScale::match_rms_adamw;
};

struct ScheduleSection {
  ScheduleType type = ScheduleType::cosine;
  std::int64_t warmup_steps = 0;
  double min_lr_ratio = 0.1;
  std::optional<std::int64_t> decay_steps;  // wsd only: the last steps, in which the rate falls
  std::int64_t window_warmup_steps = 0;
  // Short for the steps that they make; empty in a loaded file.
  std::optional<std::int64_t> warmup_tokens, decay_tokens, window_warmup_tokens;
};

/// A bound that a figure of a step should stay below, and what is done when it does not.
struct AlertRule {
  AlertFigure figure = AlertFigure::loss;
  double above = 0.0;
  AlertAction action = AlertAction::log;
};

struct TrainSection {
  std::int64_t max_steps = 0;              // 0: not trained here (an imported model)
  std::optional<std::int64_t> max_tokens;  // short for max_steps; empty in a loaded file
  std::int64_t global_batch_size = 0;
  std::int64_t micro_batch_size = 0;
  Precision precision = Precision::fp32;
  ActivationCheckpointing activation_checkpointing = ActivationCheckpointing::none;
  double grad_clip = 1.0;   // 0: no clipping
  double skip_above = 0.0;  // 0: only non-finite steps are skipped
  double z_loss = 0.0;
  LossWeighting loss_weighting = LossWeighting::token;
  bool deterministic = true;
  bool cuda_graph = false;
  std::vector<AlertRule> alert;
};

struct ParallelSection {
  Sharding sharding = Sharding::none;
  std::int64_t replicas = 1;  // of the sharded state; without sharding every rank is one
  std::int64_t context = 1;   // ranks that share each sequence
  Precision reduce_precision = Precision::fp32;
  double first_step_timeout = 1800.0;     // seconds
  double timeout = 300.0;                 // seconds
  std::int64_t check_replicas_every = 0;  // 0: never
};

struct CheckpointSection {
  std::int64_t every_steps = 1000;
  std::int64_t keep_last = 3;
  std::int64_t keep_every = 0;  // steps; 0: none
  std::int64_t keep_best = 0;
  bool asynchronous = true;
  WhenBusy when_busy = WhenBusy::wait;
};

struct EvalSection {
  std::int64_t every_steps = 0;  // 0: never during training
  std::int64_t max_tokens = 1048576;
};

struct LoggingSection {
  std::int64_t every_steps = 10;
  bool tensorboard = false;
  std::int64_t layers_every = 0;  // 0: never
};

/// All sections of a run; Model is the model as written or as resolved.
template <class Model>
struct RunSections {
  RunSection run;
  Model model;
  DataSection data;
  OptimizerSection optimizer;
  ScheduleSection schedule;
  TrainSection train;
  ParallelSection parallel;
  CheckpointSection checkpoint;
  EvalSection eval;
  LoggingSection logging;
};

/// What a run file says.
struct RunFile : RunSections<ModelSection> {};

/// A run that can be made: the vocabulary is known too.
struct Config : RunSections<ModelConfig> {};

}  // namespace zebra
