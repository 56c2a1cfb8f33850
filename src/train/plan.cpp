#include "train/plan.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/text.h"
#include "model/cost.h"
#include "model/layout.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kFloatBytes = 4;
constexpr double kTrainingPasses = 3.0;  // backward costs twice the forward

std::int64_t weight_bytes(const Config& config) {
  return config.train.precision == Precision::bf16 ? 2 : kFloatBytes;
}

// Bytes that the training state needs on its rank. Activations come on top: they depend on the
// kernels.
Json state_bytes(const Config& config, std::int64_t parameters) {
  const bool has_masters = config.train.precision == Precision::bf16;
  const std::int64_t weights = parameters * weight_bytes(config);
  const std::int64_t gradients = parameters * kFloatBytes;
  const std::int64_t masters = has_masters ? parameters * kFloatBytes : 0;
  const std::int64_t moments = 2 * parameters * kFloatBytes;
  return {{"weights", weights},
          {"gradients", gradients},
          {"masters", masters},
          {"moments", moments},
          {"total", weights + gradients + masters + moments}};
}

Json flops_json(const ForwardFlops& flops) {
  return {{"projections", flops.projections},
          {"feed_forward", flops.feed_forward},
          {"global_attention", flops.global_attention},
          {"local_attention", flops.local_attention},
          {"head", flops.head},
          {"total", flops.total()}};
}

Json cache_json(const Config& config) {
  Json rows = Json::array();
  const auto full = with_full_attention(config.model);
  for (const std::int64_t length :
       std::set<std::int64_t>{config.data.sequence_length, 4096, 32768, 131072}) {
    rows.push_back({{"length", length},
                    {"bytes", key_value_cache_bytes(config.model, length, 2)},
                    {"bytes_full_attention", key_value_cache_bytes(full, length, 2)}});
  }
  return rows;
}

std::string padded(const std::string& text, std::size_t width, bool right = false) {
  const std::string space(width > text.size() ? width - text.size() : 0, ' ');
  return right ? space + text : text + space;
}

std::string row(const std::string& name, const std::string& value, const std::string& note = "") {
  return "  " + padded(name, 22) + padded(value, 12, /*right=*/true) +
         (note.empty() ? "" : "  " + note) + "\n";
}

std::string bytes_text(const Json& value) { return with_byte_unit(value.get<double>()); }

std::string layer_table(const ModelSection& model) {
  const auto kinds = layer_kinds(model);
  const auto globals = std::count(kinds.begin(), kinds.end(), LayerKind::global);
  std::string text = "Layers\n  " + model.attention_pattern.value() + "\n";
  text += row("global", std::to_string(globals), "every earlier token");
  if (globals < model.num_hidden_layers) {
    text += row("local", std::to_string(model.num_hidden_layers - globals),
                window_in_words(model.window_size.value()));
  }
  const auto heads = std::to_string(model.num_attention_heads) + " heads of " +
                     std::to_string(model.head_dim.value()) + ", " +
                     std::to_string(model.num_key_value_heads.value()) + " for keys and values";
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
    text += row(name, with_suffix(value.get<double>()),
                fixed(100.0 * value.get<double>() / total, 1) + " %");
  }
  return text + row("of full attention",
                    fixed(plan["cost_relative_to_full_attention"].get<double>(), 3),
                    "the same model with every layer global costs 1");
}

std::string memory_table(const Json& plan) {
  std::string text = "\nTraining state per rank (activations come on top)\n";
  for (const auto& [name, value] : plan["state_bytes_per_rank"].items())
    text += row(name, bytes_text(value));
  text += row("checkpoint", bytes_text(plan["checkpoint_bytes"]));
  text += "\nKey-value cache per sequence, bf16\n";
  for (const auto& entry : plan["key_value_cache"]) {
    text +=
        row("at " + with_commas(entry["length"].get<std::int64_t>()), bytes_text(entry["bytes"]),
            "full attention " + bytes_text(entry["bytes_full_attention"]));
  }
  return text;
}

}  // namespace

nlohmann::ordered_json plan_json(const Config& config) {
  const auto count = count_parameters(config.model);
  const auto flops = forward_flops_per_token(config.model, config.data.sequence_length);
  const auto full =
      forward_flops_per_token(with_full_attention(config.model), config.data.sequence_length);
  const auto tokens_per_step = config.train.global_batch_size * config.data.sequence_length;
  const auto tokens = tokens_per_step * config.train.max_steps;

  Json plan;
  plan["layers"] = Json::array();
  for (const auto kind : layer_kinds(config.model)) plan["layers"].push_back(kind_name(kind));
  plan["parameters"] = {{"embedding", count.embedding},
                        {"attention", count.attention},
                        {"feed_forward", count.feed_forward},
                        {"norms", count.norms},
                        {"head", count.head},
                        {"total", count.total()}};
  plan["forward_flops_per_token"] = flops_json(flops);
  plan["training_flops_per_token"] = kTrainingPasses * flops.total();
  plan["cost_relative_to_full_attention"] = flops.total() / full.total();
  plan["state_bytes_per_rank"] = state_bytes(config, count.total());
  plan["checkpoint_bytes"] = 3 * kFloatBytes * count.total();
  plan["key_value_cache"] = cache_json(config);
  plan["steps"] = config.train.max_steps;
  plan["tokens_per_step"] = tokens_per_step;
  plan["tokens"] = tokens;
  plan["training_flops"] = kTrainingPasses * flops.total() * static_cast<double>(tokens);
  return plan;
}

std::string plan_text(const Config& config) {
  const auto plan = plan_json(config);
  std::string text = layer_table(config.model) + parameter_table(plan) + flops_table(plan, config) +
                     memory_table(plan);
  text += "\nRun\n";
  text += row("steps", with_commas(plan["steps"].get<std::int64_t>()));
  text += row("tokens per step", with_commas(plan["tokens_per_step"].get<std::int64_t>()),
              std::to_string(config.train.global_batch_size) + " sequences of " +
                  std::to_string(config.data.sequence_length));
  text += row("tokens", with_suffix(plan["tokens"].get<double>()));
  return text + row("training FLOPs", scientific(plan["training_flops"].get<double>()),
                    "three times the forward pass");
}

}  // namespace zebra
