#include "config/resolve.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "config/load.h"

namespace zebra {
namespace {

constexpr std::int64_t kDefaultGroupSize = 4;
constexpr std::int64_t kDefaultDecayDivisor = 5;  // the last 20 % of the steps

/// One letter per layer from self_attn_type, layer_group_size and global_layer.
std::string pattern_of_short_forms(const ModelSection& model) {
  const auto layers = static_cast<std::size_t>(model.num_hidden_layers);
  const SelfAttention type = model.self_attn_type.value_or(SelfAttention::mix);
  if (type == SelfAttention::full) return std::string(layers, 'G');
  std::string pattern(layers, 'L');
  if (type == SelfAttention::local) return pattern;
  const auto group = static_cast<std::size_t>(model.layer_group_size.value_or(kDefaultGroupSize));
  const bool last = model.global_layer.value_or(GlobalLayer::first) == GlobalLayer::last;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    if (layer % group == (last ? group - 1 : 0)) pattern[layer] = 'G';
  }
  return pattern;
}

void resolve_pattern(ModelSection& model, Report& report) {
  if (!report.sound({"model.num_hidden_layers", "model.attention_pattern", "model.self_attn_type",
                     "model.layer_group_size", "model.global_layer", "model.always_global"})) {
    return;
  }
  const auto layers = static_cast<std::size_t>(model.num_hidden_layers);
  if (!model.attention_pattern) {
    model.attention_pattern = pattern_of_short_forms(model);
  } else {
    std::string& pattern = *model.attention_pattern;
    if (pattern.find_first_not_of("GL") != std::string::npos) {
      report.problem("model.attention_pattern",
                     "\"" + pattern + "\" must consist of the letters G (global) and L (local)");
      return;
    }
    if (pattern.size() > layers) {
      report.problem("model.attention_pattern",
                     "has " + std::to_string(pattern.size()) + " letters for " +
                         std::to_string(layers) +
                         " layers (model.num_hidden_layers); give one letter per layer, or fewer "
                         "to repeat them");
      return;
    }
    const std::string period = pattern;
    while (pattern.size() < layers) pattern += period;
    pattern.resize(layers);
  }
  const auto always = model.always_global.value_or(AlwaysGlobal::none);
  const bool both = always == AlwaysGlobal::both;
  if (both || always == AlwaysGlobal::first) model.attention_pattern->front() = 'G';
  if (both || always == AlwaysGlobal::last) model.attention_pattern->back() = 'G';
  model.always_global.reset();
  model.self_attn_type.reset();
  model.layer_group_size.reset();
  model.global_layer.reset();
}

void fill_model(RunFile& file, Report& report) {
  ModelSection& model = file.model;
  model.preset.reset();
  if (!model.num_key_value_heads) model.num_key_value_heads = model.num_attention_heads;
  if (!model.max_position_embeddings) model.max_position_embeddings = file.data.sequence_length;
  if (!model.head_dim && report.sound({"model.hidden_size", "model.num_attention_heads"})) {
    if (model.hidden_size % model.num_attention_heads == 0) {
      model.head_dim = model.hidden_size / model.num_attention_heads;
    } else {
      report.problem("model.hidden_size",
                     std::to_string(model.hidden_size) + " is not a multiple of the " +
                         std::to_string(model.num_attention_heads) +
                         " heads (model.num_attention_heads); change one of them, or give "
                         "model.head_dim");
    }
  }
  resolve_pattern(model, report);
}

/// The steps that tokens stand for. `in_tokens` is empty afterwards.
template <class Steps>
void fill_steps(const std::string& key, Steps& steps, const std::string& key_in_tokens,
                std::optional<std::int64_t>& in_tokens, const RunFile& file, Report& report) {
  if (!report.sound({key_in_tokens})) report.mark_unsound(key);
  if (!in_tokens) return;
  const std::int64_t tokens = *in_tokens;
  in_tokens.reset();
  if (!report.sound({key, "train.global_batch_size", "data.sequence_length"}))
    return report.mark_unsound(key);
  report.locate_at(key, key_in_tokens);
  // Rounded down, the parts of a schedule never take more steps than the whole of it.
  const auto whole = tokens / file.data.sequence_length / file.train.global_batch_size;
  steps = tokens > 0 ? std::max<std::int64_t>(1, whole) : 0;
}

void fill_lengths(RunFile& file, Report& report) {
  auto& schedule = file.schedule;
  fill_steps("schedule.warmup_steps", schedule.warmup_steps, "schedule.warmup_tokens",
             schedule.warmup_tokens, file, report);
  fill_steps("schedule.decay_steps", schedule.decay_steps, "schedule.decay_tokens",
             schedule.decay_tokens, file, report);
  fill_steps("schedule.window_warmup_steps", schedule.window_warmup_steps,
             "schedule.window_warmup_tokens", schedule.window_warmup_tokens, file, report);
  fill_steps("train.max_steps", file.train.max_steps, "train.max_tokens", file.train.max_tokens,
             file, report);
}

/// All sections but the model.
template <class From, class To>
void copy_sections(const From& from, To& to) {
  to.run = from.run;
  to.data = from.data;
  to.optimizer = from.optimizer;
  to.schedule = from.schedule;
  to.train = from.train;
  to.parallel = from.parallel;
  to.checkpoint = from.checkpoint;
  to.eval = from.eval;
  to.logging = from.logging;
}

}  // namespace

std::int64_t decay_steps(const ScheduleSection& schedule, std::int64_t max_steps) {
  return schedule.decay_steps.value_or(std::max<std::int64_t>(1, max_steps / kDefaultDecayDivisor));
}

std::int64_t ranks_with_sequences(const ParallelSection& parallel, std::int64_t ranks) {
  return std::max<std::int64_t>(1, ranks / std::max<std::int64_t>(1, parallel.context));
}

void fill_defaults(RunFile& file, int ranks, Report& report) {
  if (file.run.name.empty()) file.run.name = file.run.dir.filename().string();
  fill_model(file, report);
  fill_lengths(file, report);
  TrainSection& train = file.train;
  if (train.micro_batch_size == 0)
    train.micro_batch_size = train.global_batch_size / ranks_with_sequences(file.parallel, ranks);
}

Config resolve(const RunFile& file, std::int64_t tokenizer_vocabulary) {
  const auto vocabulary = file.model.vocab_size.value_or(tokenizer_vocabulary);
  if (vocabulary < tokenizer_vocabulary) {
    const std::string needed = std::to_string(tokenizer_vocabulary);
    throw InputError("model.vocab_size: " + std::to_string(vocabulary) + " is less than the " +
                     needed + " pieces of " + file.data.tokenizer.string() +
                     "; leave it out, or set at least " + needed);
  }
  Config config;
  copy_sections(file, config);
  config.model = resolved(file.model);
  config.model.vocab_size = vocabulary;
  return config;
}

Config resolve(const RunFile& file) {
  if (!file.model.vocab_size) {
    throw InputError("model.vocab_size: missing from " + file.run.dir.string() +
                     "'s configuration, which is that of a trained model");
  }
  return resolve(file, *file.model.vocab_size);
}

RunFile as_run_file(const Config& config) {
  RunFile file;
  copy_sections(config, file);
  file.model = written(config.model);
  return file;
}

}  // namespace zebra
