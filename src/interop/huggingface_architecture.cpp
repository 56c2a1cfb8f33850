#include "interop/huggingface_architecture.h"

#include <algorithm>
#include <map>
#include <vector>

#include "base/text.h"

namespace zebra {
namespace {

// The scaling of a cwm without rope_parameters (configuration_cwm.py).
RopeScalingSection scaling_of_cwm() {
  RopeScalingSection scaling;
  scaling.type = RopeScaling::llama3;
  scaling.factor = 16.0;
  scaling.original_max_position_embeddings = 8192;
  return scaling;
}

RopeConventions with_theta(double theta) {
  RopeConventions conventions;
  conventions.default_theta = theta;
  return conventions;
}

// Llama's body with other values where a key is absent.
Architecture stock_architecture(std::string_view model_type, StockLayout layout,
                                std::int64_t longest, double rms_norm_eps, double theta) {
  Architecture architecture;
  architecture.model_type = model_type;
  architecture.layout = layout;
  architecture.max_position_embeddings = longest;
  architecture.rms_norm_eps = rms_norm_eps;
  architecture.rope = with_theta(theta);
  return architecture;
}

Architecture mistral_architecture(std::string_view model_type, StockLayout layout) {
  auto architecture = stock_architecture(model_type, layout, 131072, 1e-6, 1e4);
  architecture.key_value_heads = 8;
  architecture.sliding_window = 4096;
  return architecture;
}

Architecture cwm_architecture() {
  auto architecture = stock_architecture("cwm", StockLayout::first_of_four, 131072, 1e-5, 1e6);
  architecture.key_value_heads = 8;
  architecture.head_dim = 128;
  architecture.sliding_window = 8192;
  architecture.rope.default_scaling = scaling_of_cwm();
  return architecture;
}

Architecture qwen3_architecture() {
  auto architecture = stock_architecture("qwen3", StockLayout::last_layers, 32768, 1e-6, 1e4);
  architecture.key_value_heads = 32;
  architecture.head_dim = 128;
  architecture.sliding_window = 4096;
  architecture.max_window_layers = 28;
  architecture.qk_norm = QkNorm::head;
  return architecture;
}

Architecture olmo3_architecture() {
  auto architecture = stock_architecture("olmo3", StockLayout::last_of_four, 2048, 1e-5, 5e5);
  architecture.sliding_window = 4096;
  architecture.norm_placement = NormPlacement::reordered;
  architecture.qk_norm = QkNorm::projection;
  architecture.rope.is_by_kind = true;
  return architecture;
}

Architecture granite_swa_architecture() {
  auto architecture =
      stock_architecture("granite_swa", StockLayout::first_of_four, 8192, 1e-5, 1e4);
  architecture.key_value_heads = 4;
  architecture.sliding_window = 128;
  architecture.tie_word_embeddings = true;
  architecture.attention_sink = AttentionSink::all;
  return architecture;
}

Architecture own_architecture() {
  Architecture architecture;
  architecture.model_type = "zebra";
  architecture.layout = StockLayout::letters;
  architecture.rope.is_zebra = true;
  return architecture;
}

const std::vector<Architecture>& architectures() {
  static const std::vector<Architecture> kArchitectures = {
      stock_architecture("llama", StockLayout::full, 2048, 1e-6, 1e4),
      mistral_architecture("mistral", StockLayout::sliding),
      mistral_architecture("ministral", StockLayout::sliding_or_full),
      cwm_architecture(),
      qwen3_architecture(),
      olmo3_architecture(),
      granite_swa_architecture(),
      own_architecture()};
  return kArchitectures;
}

}  // namespace

const Architecture* find_architecture(const std::string& model_type) {
  const auto found =
      std::ranges::find(architectures(), std::string_view(model_type), &Architecture::model_type);
  return found == architectures().end() ? nullptr : &*found;
}

std::string reason_against(const std::string& model_type) {
  static const std::map<std::string, std::string> kReasons = {
      {"qwen2", "its queries, keys and values have biases, and Zebra's layers have none"},
      {"gpt_oss",
       "its feed-forward layers are experts, and its projections have biases; Zebra has neither"},
      {"ministral3",
       "it scales queries by their position (llama_4_scaling_beta), which Zebra does not"}};
  const auto found = kReasons.find(model_type);
  return found == kReasons.end() ? "" : found->second;
}

std::string architectures_in_words() {
  std::vector<std::string> names;
  for (const auto& architecture : architectures()) names.emplace_back(architecture.model_type);
  const std::string last = names.back();
  names.pop_back();
  return join(names, ", ") + " and " + last;
}

}  // namespace zebra
