#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "config/model_config.h"
#include "plan/plan.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

std::string row(const std::string& name, const std::string& value, const std::string& note = "") {
  return figure_line(22, name, value, note);
}

std::string words(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  return key;
}

std::string bytes_text(const Json& value) { return with_byte_unit(value.get<double>()); }

std::string seconds_text(const Json& value) {
  const auto seconds = value.get<double>();
  return seconds < 1.0 ? fixed(1e3 * seconds, 2) + " ms" : fixed(seconds, 2) + " s";
}

std::string rate_text(const Json& bytes_per_second) {
  return fixed(bytes_per_second.get<double>() / 1e9, 1) + " GB/s";
}

std::string percent(double share) { return fixed(100.0 * share, 1) + " %"; }

/// Rows of an object of bytes; parts that a run does not have are left out.
std::string byte_rows(const Json& parts) {
  std::string text;
  for (const auto& [name, value] : parts.items()) {
    if (value.get<double>() > 0) text += row(words(name), bytes_text(value));
  }
  return text;
}

std::string layer_table(const ModelConfig& model) {
  const auto globals = model.layers_of(LayerKind::global);
  std::string text = "Layers\n  " + pattern_of(model.layers) + "\n";
  text += row("global", std::to_string(globals), "every earlier token");
  if (globals < model.num_hidden_layers()) {
    text += row("local", std::to_string(model.num_hidden_layers() - globals),
                window_in_words(model.window_size));
  }
  const auto heads = std::to_string(model.num_attention_heads) + " heads of " +
                     std::to_string(model.head_dim) + ", " +
                     std::to_string(model.num_key_value_heads) + " for keys and values";
  text += row("width", std::to_string(model.hidden_size), heads);
  return text + row("feed-forward", std::to_string(model.intermediate_size), "SwiGLU");
}

std::string parameter_table(const Json& plan) {
  std::string text = "\nParameters\n";
  for (const auto& [name, value] : plan["parameters"].items())
    text += row(name, with_commas(value.get<std::int64_t>()));
  return text;
}

std::string flops_table(const Json& plan, const Config& config) {
  std::string text =
      "\nForward FLOPs per token at length " + std::to_string(config.data.sequence_length) + "\n";
  const double total = plan["forward_flops_per_token"]["total"].get<double>();
  for (const auto& [name, value] : plan["forward_flops_per_token"].items()) {
    text += row(name, with_suffix(value.get<double>()), percent(value.get<double>() / total));
  }
  const double recomputed = plan["recomputed_flops_per_token"].get<double>();
  if (recomputed > 0) {
    text += row("computed again", with_suffix(recomputed), "in backward, activation checkpointing");
  }
  return text + row("of full attention",
                    fixed(plan["cost_relative_to_full_attention"].get<double>(), 3),
                    "the same model with every layer global costs 1");
}

/// How the ranks share the state, in words.
std::string sharing(const Json& ranks) {
  const auto shards = ranks["shards"].get<std::int64_t>();
  const auto replicas = ranks["replicas"].get<std::int64_t>();
  if (shards == 1) return "each holds a copy of the state";
  const std::string split = "split among " + with_commas(shards);
  return replicas == 1 ? "one copy of the state, " + split
                       : with_commas(replicas) + " copies of the state, each " + split;
}

std::string memory_table(const Json& plan, const Config& config) {
  const auto& ranks = plan["ranks"];
  std::string text = "\nTraining state per rank (activations come on top)\n";
  if (ranks["count"] > 1) {
    text += row("ranks", with_commas(ranks["count"].get<std::int64_t>()), sharing(ranks));
  }
  text += byte_rows(plan["state_bytes_per_rank"]);
  text += row("checkpoint", bytes_text(plan["checkpoint_bytes"]),
              bytes_text(plan["host_copy_bytes_per_rank"]) +
                  " of it copied into the host's memory while it is written");
  if (plan.contains("activation_bytes_per_rank")) {
    text += "\nActivations per rank at their peak: estimate for CUDA, a micro-batch of " +
            std::to_string(config.train.micro_batch_size) + " x " +
            std::to_string(config.data.sequence_length) + " tokens\n";
    text += byte_rows(plan["activation_bytes_per_rank"]);
  }
  return text;
}

std::string cache_table(const Json& plan) {
  std::string text = "\nKey-value cache per sequence, bf16\n";
  for (const auto& entry : plan["key_value_cache"]) {
    text +=
        row("at " + with_commas(entry["length"].get<std::int64_t>()), bytes_text(entry["bytes"]),
            "full attention " + bytes_text(entry["bytes_full_attention"]));
  }
  return text;
}

std::string run_table(const Json& plan, const Config& config) {
  std::string text = "\nRun\n";
  text += row("steps", with_commas(plan["steps"].get<std::int64_t>()));
  text += row("tokens per step", with_commas(plan["tokens_per_step"].get<std::int64_t>()),
              std::to_string(config.train.global_batch_size) + " sequences of " +
                  std::to_string(config.data.sequence_length));
  text += row("tokens", with_suffix(plan["tokens"].get<double>()));
  return text + row("training FLOPs", scientific(plan["training_flops"].get<double>()),
                    "three times the forward pass");
}

std::string traffic_table(const Json& plan) {
  const auto micro_batches = plan["ranks"]["micro_batches_per_step"].get<std::int64_t>();
  return "\nSent by each rank in a step of " + with_commas(micro_batches) +
         (micro_batches == 1 ? " micro-batch\n" : " micro-batches\n") +
         byte_rows(plan["bytes_sent_per_rank_and_step"]);
}

std::string overlap_note(const Json& overlap) {
  if (overlap["communication"] == 0.0) return "";
  return "beside " + seconds_text(overlap["communication"]) +
         " of collectives: " + (overlap["hidden"].get<bool>() ? "hidden" : "not hidden");
}

std::string exposed_note(const Json& exposed) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : exposed.items()) {
    if (name != "total" && value > 0.0) parts.push_back(words(name) + " " + seconds_text(value));
  }
  return join(parts, ", ");
}

std::string memory_row(const Json& plan) {
  double needed = plan["state_bytes_per_rank"]["total"];
  const bool has_activations = plan.contains("activation_bytes_per_rank");
  if (has_activations) needed += plan["activation_bytes_per_rank"]["total"].get<double>();
  const double memory = plan["hardware"]["memory_bytes"];
  const std::string contents = has_activations ? "state and activations" : "state alone";
  return row("memory", with_byte_unit(needed),
             "of " + with_byte_unit(memory) + ", " + contents +
                 (needed <= memory ? ": fits" : ": does not fit"));
}

std::string time_table(const Json& plan) {
  const auto &hardware = plan["hardware"], &time = plan["seconds_per_step"];
  const double efficiency = hardware["efficiency"], peak = hardware["peak_flops"];
  const double ranks = plan["ranks"]["count"], speed = plan["tokens_per_second"];
  const double used = speed * plan["training_flops_per_token"].get<double>() / (ranks * peak);
  std::string text = "\nA step on " + with_commas(plan["ranks"]["count"].get<std::int64_t>()) +
                     " x " + hardware["gpu"].get<std::string>() + ", " +
                     with_commas(hardware["gpus_per_host"].get<std::int64_t>()) +
                     " per host: arithmetic, not measured\n";
  text +=
      row("compute", seconds_text(time["compute"]),
          "assumed: " + percent(efficiency) + " of the peak of " + with_suffix(peak) + "FLOP/s");
  text += row("fast link", seconds_text(time["fast_link"]),
              "busy; " + rate_text(hardware["fast_link_bytes_per_second"]) + " per GPU");
  text += row("network", seconds_text(time["network"]),
              "busy; " + rate_text(hardware["network_bytes_per_second"]) + " per GPU");
  text += row("block forward", seconds_text(time["block_forward"]["compute"]),
              overlap_note(time["block_forward"]));
  text += row("block backward", seconds_text(time["block_backward"]["compute"]),
              overlap_note(time["block_backward"]));
  text += row("not hidden", seconds_text(time["exposed"]["total"]), exposed_note(time["exposed"]));
  text += row("step", seconds_text(time["step"]));
  text += row("tokens per second", with_suffix(speed),
              "model FLOPs at " + percent(used) + " of the peak");
  return text + memory_row(plan);
}

}  // namespace

std::string plan_text(const Config& config, std::int64_t ranks,
                      const std::optional<Hardware>& hardware) {
  const auto plan = plan_json(config, ranks, hardware);
  std::string text = layer_table(config.model) + parameter_table(plan) + flops_table(plan, config) +
                     memory_table(plan, config) + cache_table(plan) + run_table(plan, config);
  if (ranks > 1) text += traffic_table(plan);
  if (hardware) text += time_table(plan);
  return text;
}

}  // namespace zebra
