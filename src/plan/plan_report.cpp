// A plan as JSON and as tables.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/text.h"
#include "config/model_config.h"
#include "config/window_schedule.h"
#include "plan/plan.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

// What a whole is made of, by name, in the order in which both reports give it.
template <class Value>
using Parts = std::vector<std::pair<std::string, Value>>;

Parts<std::int64_t> parts_of(const ParameterCount& count) {
  return {{"embedding", count.embedding},
          {"attention", count.attention},
          {"feed_forward", count.feed_forward},
          {"norms", count.norms},
          {"head", count.head},
          {"total", count.total()}};
}

Parts<double> parts_of(const ForwardFlops& flops) {
  return {{"projections", flops.projections},
          {"feed_forward", flops.feed_forward},
          {"global_attention", flops.global_attention},
          {"local_attention", flops.local_attention},
          {"head", flops.head},
          {"total", flops.total()}};
}

Parts<std::int64_t> parts_of(const RankMemory& memory) {
  return {{"weights", memory.weights},
          {"gradients", memory.gradients},
          {"masters", memory.masters},
          {"moments", memory.moments},
          {"gathered_weights", memory.gathered_weights},
          {"gradients_in_flight", memory.gradients_in_flight},
          {"reduction_copies", memory.reduction_copies},
          {"total", memory.total()}};
}

Parts<std::int64_t> parts_of(const ActivationBytes& bytes) {
  return {{"blocks", bytes.blocks}, {"at_work", bytes.at_work}, {"total", bytes.total()}};
}

Parts<double> parts_of(const Traffic& traffic) {
  Parts<double> parts = {{"gathered_weights", traffic.gathers},
                         {"scattered_gradients", traffic.scatters},
                         {"all_reduced_gradients", traffic.all_reduces}};
  if (traffic.updates > 0) parts.emplace_back("exchanged_updates", traffic.updates);
  parts.emplace_back("total", traffic.total());
  return parts;
}

Parts<double> parts_of(const ContextTraffic& traffic) {
  return {{"local_layers", traffic.local_layers},
          {"global_layers", traffic.global_layers},
          {"total", traffic.total()},
          {"gathered_in_every_layer", traffic.gathered_everywhere}};
}

Parts<double> exposed_parts(const StepTime& time) {
  return {{"in_passes", time.in_passes},
          {"after_last_pass", time.after_last_pass},
          {"before_first_pass", time.before_first_pass},
          {"context", time.context},
          {"total", time.exposed()}};
}

template <class Value>
Json object(const Parts<Value>& parts) {
  Json json;
  for (const auto& [name, value] : parts) json[name] = value;
  return json;
}

Json overlap_json(const Overlap& overlap) {
  return {{"compute", overlap.compute},
          {"communication", overlap.communication},
          {"hidden", overlap.is_hidden()}};
}

Json hardware_json(const Hardware& hardware, Precision precision) {
  const auto& [gpu, network, gpus_per_host] = hardware.cluster;
  return {{"gpu", gpu.name},
          {"peak_flops", peak_flops(gpu, precision)},
          {"memory_bytes", gpu.memory_bytes},
          {"gpus_per_host", gpus_per_host},
          {"fast_link_bytes_per_second", gpu.link_bytes_per_second},
          {"network_bytes_per_second", network},
          {"efficiency", hardware.efficiency}};
}

Json time_json(const StepTime& time) {
  return {{"compute", time.compute},
          {"fast_link", time.fast_link},
          {"network", time.network},
          {"block_forward", overlap_json(time.forward)},
          {"block_backward", overlap_json(time.backward)},
          {"exposed", object(exposed_parts(time))},
          {"orthogonalizing", time.orthogonalizing},
          {"step", time.step()}};
}

Json context_json(const Plan& plan) {
  Json json = {{"ranks", plan.config.parallel.context},
               {"tokens_per_rank", tokens_per_rank(plan.config)}};
  for (const auto& [name, kind] :
       {std::pair("local_layer", LayerKind::local), std::pair("global_layer", LayerKind::global)}) {
    const auto exchange = context_exchange(plan.config, kind);
    json["bytes_sent_per_" + std::string(name)] = {{"forward", exchange.forward},
                                                   {"backward", exchange.backward}};
  }
  json["bytes_sent_per_micro_batch"] = object(parts_of(plan.context));
  return json;
}

std::string row(const std::string& name, const std::string& value, const std::string& note = "") {
  return figure_line(22, name, value, note);
}

std::string words(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  return key;
}

std::string bytes_text(std::int64_t bytes) { return with_byte_unit(static_cast<double>(bytes)); }

std::string seconds_text(double seconds) {
  return seconds < 1.0 ? fixed(1e3 * seconds, 2) + " ms" : fixed(seconds, 2) + " s";
}

std::string rate_text(double bytes_per_second) {
  return fixed(bytes_per_second / 1e9, 1) + " GB/s";
}

// Parts that a run does not have are left out.
template <class Value>
std::string byte_rows(const Parts<Value>& parts) {
  std::string text;
  for (const auto& [name, value] : parts) {
    if (value > 0) text += row(words(name), with_byte_unit(static_cast<double>(value)));
  }
  return text;
}

// "128 to step 500, 256 to step 1,000, then 512".
std::string window_schedule_in_words(const Config& config) {
  if (const auto steps = config.schedule.window_warmup_steps; steps > 0)
    return "growing linearly over " + with_commas(steps) + " steps";
  std::string text;
  for (const auto& stage : config.model.window_schedule) {
    text += std::to_string(stage.window) + " to step " +
            with_commas(stage.until.step_of(config.train.max_steps)) + ", ";
  }
  return text + "then " + std::to_string(config.model.window_size);
}

std::string layer_table(const Config& config) {
  const auto& model = config.model;
  const auto globals = model.layers_of(LayerKind::global);
  std::string text = "Layers\n  " + pattern_of(model.layers) + "\n";
  text += row("global", std::to_string(globals), "every earlier token");
  if (globals < model.num_hidden_layers()) {
    text += row("local", std::to_string(model.num_hidden_layers() - globals),
                window_in_words(model.window_size));
  }
  if (window_moves(config)) text += row("in training", "", window_schedule_in_words(config));
  const auto heads = std::to_string(model.num_attention_heads) + " heads of " +
                     std::to_string(model.head_dim) + ", " +
                     std::to_string(model.num_key_value_heads) + " for keys and values";
  text += row("width", std::to_string(model.hidden_size), heads);
  return text + row("feed-forward", std::to_string(model.intermediate_size), "SwiGLU");
}

std::string parameter_table(const ParameterCount& parameters) {
  std::string text = "\nParameters\n";
  for (const auto& [name, count] : parts_of(parameters)) text += row(name, with_commas(count));
  return text;
}

std::string flops_table(const Plan& plan) {
  const auto& config = plan.config;
  const auto length = config.data.sequence_length;
  const bool is_mean = window_moves(config);
  std::string text = "\nForward FLOPs per token at length " + std::to_string(length) +
                     (is_mean ? ", averaged over the windows of the training\n" : "\n");
  for (const auto& [name, flops] : parts_of(plan.forward_flops)) {
    text += row(name, with_suffix(flops), percent(flops / plan.forward_flops.total()));
  }
  if (is_mean) {
    text +=
        row("at window_size", with_suffix(forward_flops_per_token(config.model, length).total()),
            "total of the finished model");
  }
  if (plan.recomputed_flops > 0) {
    text += row("computed again", with_suffix(plan.recomputed_flops),
                "in backward, activation checkpointing");
  }
  return text + row("of full attention", fixed(plan.cost_relative_to_full_attention, 3),
                    "the same model with every layer global costs 1");
}

// How the ranks share the state, in words.
std::string sharing(const ShardedModel& model) {
  if (model.shards == 1) return "each holds a copy of the state";
  const std::string split = "split among " + with_commas(model.shards);
  return model.replicas == 1 ? "one copy of the state, " + split
                             : with_commas(model.replicas) + " copies of the state, each " + split;
}

// Whether the estimate of activations is worth telling: it was made for bf16.
bool has_activations(const Plan& plan) { return plan.config.train.precision == Precision::bf16; }

std::string memory_table(const Plan& plan) {
  std::string text = "\nTraining state per rank (activations come on top)\n";
  if (plan.sharding.ranks() > 1) {
    text += row("ranks", with_commas(plan.sharding.ranks()), sharing(plan.sharding));
  }
  text += byte_rows(parts_of(plan.state));
  text += row("checkpoint", bytes_text(plan.checkpoint_bytes),
              bytes_text(plan.host_copy_bytes) +
                  " of it copied into the host's memory while it is written");
  if (has_activations(plan)) {
    text += "\nActivations per rank at their peak: estimate for CUDA, a micro-batch of " +
            std::to_string(plan.config.train.micro_batch_size) + " x " +
            std::to_string(plan.config.data.sequence_length) + " tokens\n";
    text += byte_rows(parts_of(plan.activations));
  }
  return text;
}

std::string cache_table(const std::vector<PlannedCache>& caches) {
  std::string text = "\nKey-value cache per sequence, bf16\n";
  for (const auto& cache : caches) {
    text += row("at " + with_commas(cache.length), bytes_text(cache.bytes),
                "full attention " + bytes_text(cache.bytes_full_attention));
  }
  return text;
}

std::string run_table(const Plan& plan) {
  std::string text = "\nRun\n";
  text += row("steps", with_commas(plan.config.train.max_steps));
  text += row("tokens per step", with_commas(plan.tokens_per_step()),
              std::to_string(plan.config.train.global_batch_size) + " sequences of " +
                  std::to_string(plan.config.data.sequence_length));
  text += row("tokens", with_suffix(static_cast<double>(plan.tokens())));
  text += row("training FLOPs", scientific(plan.training_flops()), "three times the forward pass");
  if (plan.newton_schulz_flops == 0) return text;
  const double step = plan.training_flops_per_token() *
                      static_cast<double>(plan.tokens_per_step()) /
                      static_cast<double>(plan.sharding.ranks());
  return text + row("Newton-Schulz", with_suffix(plan.newton_schulz_flops),
                    "FLOPs on the busiest rank in a step, beside " + with_suffix(step) +
                        " of training: " + percent(plan.newton_schulz_flops / step));
}

std::string traffic_table(const Plan& plan) {
  return "\nSent by each rank in a step of " + with_commas(plan.micro_batches) +
         (plan.micro_batches == 1 ? " micro-batch\n" : " micro-batches\n") +
         byte_rows(parts_of(plan.traffic));
}

std::string overlap_note(const Overlap& overlap) {
  if (overlap.communication == 0.0) return "";
  return "beside " + seconds_text(overlap.communication) +
         " of collectives: " + (overlap.is_hidden() ? "hidden" : "not hidden");
}

std::string exposed_note(const StepTime& time) {
  std::vector<std::string> notes;
  for (const auto& [name, seconds] : exposed_parts(time)) {
    if (name != "total" && seconds > 0.0)
      notes.push_back(words(name) + " " + seconds_text(seconds));
  }
  return join(notes, ", ");
}

std::string memory_row(const Plan& plan, const Gpu& gpu) {
  const auto needed = plan.state.total() + (has_activations(plan) ? plan.activations.total() : 0);
  return row("memory", bytes_text(needed),
             "of " + bytes_text(gpu.memory_bytes) + ", " +
                 (has_activations(plan) ? "state and activations" : "state alone") +
                 (needed <= gpu.memory_bytes ? ": fits" : ": does not fit"));
}

std::string context_table(const Plan& plan) {
  const auto& config = plan.config;
  std::string text = "\nKeys and values that a rank sends for a micro-batch, " +
                     with_commas(config.parallel.context) + " ranks to a sequence\n";
  for (const auto& [name, kind] : {std::pair("a local layer", LayerKind::local),
                                   std::pair("a global layer", LayerKind::global)}) {
    if (config.model.layers_of(kind) == 0) continue;
    const auto exchange = context_exchange(config, kind);
    text += row(name, with_byte_unit(exchange.total()),
                with_byte_unit(exchange.forward) + " of it forward");
  }
  return text + byte_rows(parts_of(plan.context));
}

std::string time_table(const Plan& plan) {
  const auto& [hardware, time] = *plan.time;
  const auto& [gpu, network, gpus_per_host] = hardware.cluster;
  const auto ranks = plan.sharding.ranks();
  const double peak = peak_flops(gpu, plan.config.train.precision);
  const double speed = plan.tokens_per_second();
  const double used = speed * plan.training_flops_per_token() / (static_cast<double>(ranks) * peak);
  std::string text = "\nA step on " + with_commas(ranks) + " x " + gpu.name + ", " +
                     with_commas(gpus_per_host) + " per host: arithmetic, not measured\n";
  text += row("compute", seconds_text(time.compute),
              "assumed: " + percent(hardware.efficiency) + " of the peak of " + with_suffix(peak) +
                  "FLOP/s");
  text += row("fast link", seconds_text(time.fast_link),
              "busy; " + rate_text(gpu.link_bytes_per_second) + " per GPU");
  text += row("network", seconds_text(time.network), "busy; " + rate_text(network) + " per GPU");
  text += row("block forward", seconds_text(time.forward.compute), overlap_note(time.forward));
  text += row("block backward", seconds_text(time.backward.compute), overlap_note(time.backward));
  text += row("not hidden", seconds_text(time.exposed()), exposed_note(time));
  if (time.orthogonalizing > 0)
    text += row("Muon", seconds_text(time.orthogonalizing), "Newton-Schulz and its exchanges");
  text += row("step", seconds_text(time.step()),
              window_moves(plan.config) ? "of the averaged FLOPs" : "");
  text += row("tokens per second", with_suffix(speed),
              "model FLOPs at " + percent(used) + " of the peak");
  return text + memory_row(plan, gpu);
}

}  // namespace

nlohmann::ordered_json to_json(const Plan& plan) {
  Json json;
  json["layers"] = Json::array();
  for (const auto kind : plan.config.model.layers) json["layers"].push_back(kind_name(kind));
  json["parameters"] = object(parts_of(plan.parameters));
  json["forward_flops_per_token"] = object(parts_of(plan.forward_flops));
  if (const auto& config = plan.config; window_moves(config)) {
    json["forward_flops_per_token_at_window_size"] =
        forward_flops_per_token(config.model, config.data.sequence_length).total();
  }
  json["training_flops_per_token"] = plan.training_flops_per_token();
  json["recomputed_flops_per_token"] = plan.recomputed_flops;
  json["cost_relative_to_full_attention"] = plan.cost_relative_to_full_attention;
  json["ranks"] = {{"count", plan.sharding.ranks()},
                   {"shards", plan.sharding.shards},
                   {"replicas", plan.sharding.replicas},
                   {"micro_batches_per_step", plan.micro_batches}};
  json["state_bytes_per_rank"] = object(parts_of(plan.state));
  if (has_activations(plan)) json["activation_bytes_per_rank"] = object(parts_of(plan.activations));
  json["bytes_sent_per_rank_and_step"] = object(parts_of(plan.traffic));
  if (plan.config.parallel.context > 1) json["context"] = context_json(plan);
  json["checkpoint_bytes"] = plan.checkpoint_bytes;
  json["host_copy_bytes_per_rank"] = plan.host_copy_bytes;
  json["key_value_cache"] = Json::array();
  for (const auto& cache : plan.caches) {
    json["key_value_cache"].push_back({{"length", cache.length},
                                       {"bytes", cache.bytes},
                                       {"bytes_full_attention", cache.bytes_full_attention}});
  }
  json["steps"] = plan.config.train.max_steps;
  json["tokens_per_step"] = plan.tokens_per_step();
  json["tokens"] = plan.tokens();
  json["training_flops"] = plan.training_flops();
  if (plan.newton_schulz_flops > 0)
    json["newton_schulz_flops_per_rank_and_step"] = plan.newton_schulz_flops;
  if (plan.time) {
    json["hardware"] = hardware_json(plan.time->hardware, plan.config.train.precision);
    json["seconds_per_step"] = time_json(plan.time->step);
    json["tokens_per_second"] = plan.tokens_per_second();
  }
  return json;
}

std::string to_text(const Plan& plan) {
  std::string text = layer_table(plan.config) + parameter_table(plan.parameters) +
                     flops_table(plan) + memory_table(plan) + cache_table(plan.caches) +
                     run_table(plan);
  if (plan.sharding.ranks() > 1) text += traffic_table(plan);
  if (plan.config.parallel.context > 1) text += context_table(plan);
  if (plan.time) text += time_table(plan);
  return text;
}

}  // namespace zebra
