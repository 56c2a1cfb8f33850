#include "config/resolve.h"

#include <algorithm>
#include <string>

#include "base/text.h"
#include "config/yaml.h"

namespace zebra {
namespace {

std::string text(std::int64_t value) { return std::to_string(value); }

void check_heads(const ModelSection& model, Report& report) {
  if (report.sound({"model.num_attention_heads", "model.num_key_value_heads"}) &&
      model.num_attention_heads % *model.num_key_value_heads != 0) {
    report.problem("model.num_key_value_heads",
                   text(*model.num_key_value_heads) + " does not divide the " +
                       text(model.num_attention_heads) +
                       " query heads (model.num_attention_heads); give a divisor of them");
  }
  if (!report.sound({"model.head_dim", "model.hidden_size", "model.num_attention_heads"})) return;
  if (*model.head_dim % 2 != 0 || *model.head_dim > 256) {
    report.problem("model.head_dim", text(*model.head_dim) +
                                         " must be even and at most 256; change it, or the "
                                         "number of heads (model.num_attention_heads)");
  }
}

void check_window(const ModelSection& model, Report& report) {
  if (model.window_size || !model.attention_pattern ||
      !report.sound({"model.window_size", "model.attention_pattern", "model.num_hidden_layers"})) {
    return;
  }
  const std::string& pattern = *model.attention_pattern;
  const auto local = std::count(pattern.begin(), pattern.end(), 'L');
  if (local == 0) return;
  report.problem("model.window_size",
                 "missing, but " + text(local) + " of " + text(model.num_hidden_layers) +
                     " layers are local: give the number of previous tokens they see, or "
                     "self_attn_type: full");
}

// Of stage i of the list `key`, against the one before it and the length of the training (0: not
// known), at whose end `last` holds.
template <class Stage>
void check_end_of_stage(const std::vector<Stage>& stages, std::size_t i, const std::string& key,
                        const std::string& last, std::int64_t max_steps, Report& report) {
  const auto key_of = [&](std::size_t stage) {
    return key + "[" + text(static_cast<std::int64_t>(stage)) + "].until";
  };
  if (!report.sound({key_of(i)})) return;
  const TrainingPoint& until = stages[i].until;
  if (!until.is_fraction() && max_steps > 0 && until.step >= max_steps) {
    report.problem(key_of(i), text(until.step) + " must be below train.max_steps (" +
                                  text(max_steps) + "), or nothing would be trained with " + last +
                                  "; lower it");
  }
  if (i == 0 || !report.sound({key_of(i - 1)})) return;
  const TrainingPoint& before = stages[i - 1].until;
  if (until.is_fraction() != before.is_fraction()) {
    report.problem(key_of(i), yaml_text(until) + " after " + yaml_text(before) +
                                  ": some stages give a fraction of train.max_steps and some a "
                                  "step; give all in the same way");
  } else if (until.is_fraction() ? until.fraction <= before.fraction : until.step <= before.step) {
    report.problem(key_of(i), yaml_text(until) +
                                  " must be greater than that of the stage before (" +
                                  yaml_text(before) + ")");
  }
}

void check_window_schedule(const RunFile& config, Report& report) {
  const auto& stages = config.model.window_schedule;
  if (stages.empty() || !report.sound({"model.window_schedule"})) return;
  if (report.sound({"schedule.window_warmup_steps"}) && config.schedule.window_warmup_steps > 0) {
    report.problem("model.window_schedule",
                   "and schedule.window_warmup_steps both say how the window grows; remove one of "
                   "them");
  }
  const bool knows_steps = report.sound({"train.max_steps"});
  const auto& size = config.model.window_size;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    check_end_of_stage(stages, i, "model.window_schedule", "model.window_size",
                       knows_steps ? config.train.max_steps : 0, report);
    const auto key = "model.window_schedule[" + text(static_cast<std::int64_t>(i)) + "].window";
    if (!size || !report.sound({"model.window_size", key}) || stages[i].window <= *size) continue;
    report.problem(key, text(stages[i].window) + " is more than model.window_size (" + text(*size) +
                            "), the widest that a layer is trained with; lower it, "
                            "or raise that");
  }
}

void check_positions(const RunFile& config, Report& report) {
  const ModelSection& model = config.model;
  const RopeScalingSection& scaling = model.rope_scaling;
  const bool none = scaling.type == RopeScaling::none;
  if (!report.sound({"model.rope_scaling.type"})) return;
  if (none && report.sound({"model.rope_scaling.factor"}) && scaling.factor != 1.0) {
    report.problem("model.rope_scaling.factor",
                   "must be 1 without scaling, not " + round_trip(scaling.factor) +
                       "; give model.rope_scaling.type: linear, dynamic, yarn or llama3");
  }
  const bool needs_length = !none && scaling.type != RopeScaling::linear;
  if (needs_length && !scaling.original_max_position_embeddings &&
      report.sound({"model.rope_scaling.original_max_position_embeddings"})) {
    report.problem("model.rope_scaling.original_max_position_embeddings",
                   "missing, but the type is " + name_of(scaling.type) +
                       ": give the longest sequence, in tokens, of the training before scaling");
  }
  if (scaling.type == RopeScaling::yarn &&
      report.sound({"model.rope_scaling.beta_fast", "model.rope_scaling.beta_slow"}) &&
      scaling.beta_fast <= scaling.beta_slow) {
    report.problem("model.rope_scaling.beta_fast", round_trip(scaling.beta_fast) +
                                                       " must be greater than beta_slow (" +
                                                       round_trip(scaling.beta_slow) + ")");
  }
  if (scaling.type == RopeScaling::llama3 &&
      report.sound({"model.rope_scaling.low_freq_factor", "model.rope_scaling.high_freq_factor"}) &&
      scaling.high_freq_factor <= scaling.low_freq_factor) {
    report.problem("model.rope_scaling.high_freq_factor",
                   round_trip(scaling.high_freq_factor) +
                       " must be greater than low_freq_factor (" +
                       round_trip(scaling.low_freq_factor) + ")");
  }
  if (none && report.sound({"model.max_position_embeddings", "data.sequence_length"}) &&
      *model.max_position_embeddings < config.data.sequence_length) {
    report.problem("model.max_position_embeddings",
                   text(*model.max_position_embeddings) + " is less than data.sequence_length (" +
                       text(config.data.sequence_length) +
                       "); raise it, or set model.rope_scaling for longer sequences");
  }
}

// A model that is not trained here, such as an imported one, has neither steps nor data.
void check_training_data(const RunFile& config, Report& report) {
  if (!report.sound({"data.train"})) return;
  const bool not_trained = report.sound({"train.max_steps"}) && config.train.max_steps == 0;
  const bool has_data = !config.data.train.empty() || !config.data.stages.empty();
  if (has_data && not_trained) {
    report.problem("train.max_steps", "must be at least 1, not 0");
  } else if (config.data.train.empty() && !not_trained) {
    report.problem("data.train",
                   "missing: give the datasets to train on, such as [{path: FOLDER}]");
  }
}

template <class Source>
void check_weights(const std::vector<Source>& sources, const std::string& key, Report& report) {
  if (!report.sound({key})) return;
  const auto has_weight = [](const DataSource& source) { return source.weight.has_value(); };
  if (std::ranges::all_of(sources, has_weight) || std::ranges::none_of(sources, has_weight)) return;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const std::string weight = key + "[" + std::to_string(i) + "].weight";
    if (has_weight(sources[i]) || !report.sound({weight})) continue;
    report.problem(
        weight,
        "missing, but other sources of the list have one: give all of them a weight, or none");
  }
}

void check_data_stages(const RunFile& config, Report& report) {
  const auto& stages = config.data.stages;
  if (stages.empty() || !report.sound({"data.stages"})) return;
  const bool knows_steps = report.sound({"train.max_steps"});
  for (std::size_t i = 0; i < stages.size(); ++i) {
    check_end_of_stage(stages, i, "data.stages", "data.train",
                       knows_steps ? config.train.max_steps : 0, report);
    check_weights(stages[i].train, "data.stages[" + text(static_cast<std::int64_t>(i)) + "].train",
                  report);
  }
}

void check_packing(const DataSection& data, Report& report) {
  if (!report.sound({"data.packing", "data.overflow", "data.document_mask"})) return;
  const bool whole = data.packing == Packing::whole;
  if (whole && !data.document_mask) {
    report.problem("data.document_mask",
                   "false would let whole documents see each other, and padding; leave it out, or "
                   "set data.packing: concat");
  }
  if (!whole && data.overflow != Overflow::error) {
    report.problem("data.overflow", name_of(data.overflow) +
                                        " has no effect without data.packing: whole; set that, or "
                                        "remove it");
  }
}

void check_batch(const RunFile& config, int all_ranks, Report& report) {
  const TrainSection& train = config.train;
  if (!report.sound({"train.global_batch_size", "train.micro_batch_size", "parallel.context"}))
    return;
  const auto ranks = ranks_with_sequences(config.parallel, all_ranks);
  const std::string several =
      text(ranks) + (config.parallel.context > 1 ? " groups of parallel.context" : "") + " ranks";
  if (train.micro_batch_size == 0) {
    report.problem("train.global_batch_size", text(train.global_batch_size) +
                                                  " sequences cannot be shared by " + several +
                                                  "; give at least " + text(ranks));
    return;
  }
  const std::int64_t unit = train.micro_batch_size * ranks;
  if (train.global_batch_size % unit == 0) return;
  const std::int64_t below = train.global_batch_size / unit * unit;
  std::string sizes = below > 0 ? text(below) + ", " : "";
  sizes += text(below + unit) + ", " + text(below + 2 * unit);
  report.problem("train.global_batch_size",
                 text(train.global_batch_size) + " is not a multiple of micro_batch_size x ranks" +
                     (config.parallel.context > 1 ? " / parallel.context (" : " (") +
                     text(train.micro_batch_size) + " x " + text(ranks) + " = " + text(unit) +
                     "); sizes that fit: " + sizes);
}

// One process may read the file of a run of many (a checkpoint's, say), so what does not suit a
// single rank is left to the start of training.
void check_replicas(const ParallelSection& parallel, int ranks, Report& report) {
  if (!report.sound({"parallel.sharding", "parallel.replicas"}) || parallel.replicas == 1) return;
  if (parallel.sharding == Sharding::none) {
    report.problem("parallel.replicas",
                   text(parallel.replicas) +
                       " is for sharded state; without sharding every rank is a copy: remove it, "
                       "or set parallel.sharding");
  } else if (ranks > 1 && ranks % parallel.replicas != 0) {
    report.problem("parallel.replicas", text(parallel.replicas) + " does not divide the " +
                                            text(ranks) +
                                            " ranks; give a divisor of them, or start another "
                                            "number of ranks");
  }
}

void check_optimizer(const OptimizerSection& optimizer, Report& report) {
  if (!report.sound({"optimizer.type"}) || optimizer.type == OptimizerType::muon) return;
  const auto check = [&](const char* key, bool has_default) {
    if (has_default || !report.sound({key})) return;
    report.problem(key, "only muon uses it; remove it, or give optimizer.type: muon");
  };
  check("optimizer.momentum", optimizer.momentum == OptimizerSection{}.momentum);
  check("optimizer.adjust_lr_fn", optimizer.adjust_lr_fn == OptimizerSection{}.adjust_lr_fn);
}

// Of 2 N chunks of each sequence; a local layer reaches into one chunk before its own.
void check_context(const RunFile& config, int ranks, Report& report) {
  const auto context = config.parallel.context;
  if (!report.sound({"parallel.context"}) || context == 1) return;
  if (ranks > 1 && ranks % context != 0) {
    report.problem("parallel.context", text(context) + " does not divide the " + text(ranks) +
                                           " ranks; give a divisor of them, or start another "
                                           "number of ranks");
  }
  if (report.sound({"model.rope_scaling.type"}) &&
      config.model.rope_scaling.type == RopeScaling::dynamic) {
    report.problem("model.rope_scaling.type",
                   "dynamic turns every sequence by its own length, which the ranks of "
                   "parallel.context do not tell each other; give another type, or "
                   "parallel.context: 1");
  }
  if (report.sound({"train.cuda_graph"}) && config.train.cuda_graph) {
    report.problem("train.cuda_graph",
                   "ranks that share sequences exchange keys in every layer, which a graph cannot "
                   "hold; set it to false, or parallel.context: 1");
  }
  if (!report.sound({"data.sequence_length", "model.window_size", "model.attention_pattern"}))
    return;
  const auto length = config.data.sequence_length, unit = 2 * context;
  if (length % unit != 0) {
    const auto below = length / unit * unit;
    report.problem("data.sequence_length",
                   text(length) + " cannot be cut into 2 x parallel.context = " + text(unit) +
                       " equal chunks; lengths that fit: " + (below > 0 ? text(below) + ", " : "") +
                       text(below + unit));
    return;
  }
  const bool has_local = config.model.attention_pattern &&
                         config.model.attention_pattern->find('L') != std::string::npos;
  const auto window = config.model.window_size.value_or(0), chunk = length / unit;
  if (!has_local || window <= chunk) return;
  const auto most = length / (2 * window);
  report.problem("parallel.context",
                 "chunks of " + text(length) + " / (2 x " + text(context) + ") = " + text(chunk) +
                     " tokens are shorter than the window of " + text(window) + "; what fits: " +
                     (most > 1 ? "parallel.context up to " + text(most) + ", " : "") +
                     "data.sequence_length from " + text(unit * window) +
                     " on, or model.window_size up to " + text(chunk));
}

void check_schedule(const ScheduleSection& schedule, const TrainSection& train, Report& report) {
  const bool wsd = schedule.type == ScheduleType::wsd;
  if (!report.sound({"schedule.type"})) return;
  if (!wsd && schedule.decay_steps) {
    report.problem("schedule.decay_steps",
                   "only wsd uses it; remove it, or give schedule.type: wsd");
  }
  if (!report.sound({"train.max_steps", "schedule.warmup_steps", "schedule.decay_steps"})) return;
  if (schedule.warmup_steps > train.max_steps) {
    report.problem("schedule.warmup_steps", text(schedule.warmup_steps) +
                                                " is more than train.max_steps (" +
                                                text(train.max_steps) + "); lower it");
  } else if (wsd &&
             decay_steps(schedule, train.max_steps) > train.max_steps - schedule.warmup_steps) {
    report.problem("schedule.decay_steps", text(decay_steps(schedule, train.max_steps)) +
                                               " after " + text(schedule.warmup_steps) +
                                               " warmup_steps is more than train.max_steps (" +
                                               text(train.max_steps) + "); lower one of them");
  }
}

// Sizes whose bytes 64 bits could not count: no machine holds them, and plans would be nonsense.
void check_size(const RunFile& config, Report& report) {
  const ModelSection& model = config.model;
  const TrainSection& train = config.train;
  if (!report.sound({"model.hidden_size", "model.intermediate_size", "model.num_hidden_layers",
                     "model.num_attention_heads", "model.num_key_value_heads", "model.head_dim",
                     "model.vocab_size", "data.sequence_length", "train.max_steps",
                     "train.global_batch_size", "train.micro_batch_size"})) {
    return;
  }
  constexpr double kMost = 1152921504606846976.0;  // 2^60
  const auto number = [](std::int64_t value) { return static_cast<double>(value); };
  const double width = number(model.hidden_size), inner = number(model.intermediate_size),
               layers = number(model.num_hidden_layers), head = number(*model.head_dim),
               heads = number(model.num_attention_heads),
               key_heads = number(*model.num_key_value_heads),
               length = number(config.data.sequence_length);
  const double projections = 2 * head * (heads + key_heads);
  const double parameters =
      layers * width * (projections + 3 * inner) + 2 * width * number(model.vocab_size.value_or(1));
  if (16 * parameters > kMost) {
    report.problem("model.hidden_size",
                   "the model would have " + with_suffix(parameters) +
                       " parameters, more than any machine holds; lower the sizes of model");
    return;
  }
  const double kept = 8 * layers * (width + projections + inner);  // bytes a token, roughly
  const double tokens = std::max(number(train.micro_batch_size) * length, 131072.0);
  if (kept * tokens > kMost) {
    report.problem("data.sequence_length",
                   "a micro-batch would take " + with_byte_unit(kept * tokens) +
                       " of memory; lower it, train.micro_batch_size, or the sizes of model");
    return;
  }
  const double seen = number(train.max_steps) * number(train.global_batch_size) * length;
  if (seen > kMost) {
    report.problem("train.max_steps",
                   "with train.global_batch_size and data.sequence_length the "
                   "run would take " +
                       scientific(seen) + " tokens; lower it");
  }
}

void check_skipping(const TrainSection& train, Report& report) {
  if (!report.sound({"train.skip_above"}) || train.skip_above == 0.0 || train.skip_above > 1.0)
    return;
  report.problem("train.skip_above",
                 round_trip(train.skip_above) +
                     " would skip ordinary steps: gradient norms lie around their median; give "
                     "more than 1 (10 is common), or 0 for off");
}

// The host may not choose kernels by the lengths of documents, as it does without determinism and
// in float32.
void check_cuda_graph(const TrainSection& train, Report& report) {
  if (!report.sound({"train.cuda_graph", "train.deterministic", "train.precision"})) return;
  if (!train.cuda_graph || (train.deterministic && train.precision == Precision::bf16)) return;
  report.problem("train.cuda_graph",
                 "needs train.deterministic: true and train.precision: bf16, with which every "
                 "batch takes the same kernels; set them, or train.cuda_graph: false");
}

void check_alerts(const RunFile& config, Report& report) {
  const auto& rules = config.train.alert;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const auto key = "train.alert[" + text(static_cast<std::int64_t>(i)) + "].figure";
    if (!report.sound({key, "logging.layers_every"}) || config.logging.layers_every > 0) continue;
    if (rules[i].figure < AlertFigure::layer_grad_norm) continue;
    report.problem(key, name_of(rules[i].figure) +
                            " is known in the steps of logging.layers_every only, which is 0; give "
                            "10 there, say");
  }
}

void check_validation(const RunFile& config, Report& report) {
  if (!report.sound({"eval.every_steps", "data.validation"}) || config.eval.every_steps == 0)
    return;
  if (config.data.validation.empty()) {
    report.problem(
        "eval.every_steps",
        text(config.eval.every_steps) +
            " asks for validation, but data.validation is empty: give datasets there, or "
            "eval.every_steps: 0");
    return;
  }
  if (report.sound({"eval.max_tokens", "data.sequence_length"}) &&
      config.eval.max_tokens < config.data.sequence_length) {
    report.problem("eval.max_tokens",
                   text(config.eval.max_tokens) +
                       " is less than one window; give at least data.sequence_length (" +
                       text(config.data.sequence_length) + ")");
  }
}

}  // namespace

void validate(const RunFile& config, int ranks, Report& report) {
  check_heads(config.model, report);
  check_window(config.model, report);
  check_window_schedule(config, report);
  check_positions(config, report);
  check_training_data(config, report);
  check_weights(config.data.train, "data.train", report);
  check_weights(config.data.validation, "data.validation", report);
  check_data_stages(config, report);
  check_packing(config.data, report);
  check_batch(config, ranks, report);
  check_context(config, ranks, report);
  check_replicas(config.parallel, ranks, report);
  check_optimizer(config.optimizer, report);
  check_schedule(config.schedule, config.train, report);
  check_size(config, report);
  check_skipping(config.train, report);
  check_cuda_graph(config.train, report);
  check_alerts(config, report);
  check_validation(config, report);
}

}  // namespace zebra
