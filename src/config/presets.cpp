#include "config/presets.h"

namespace zebra {

const std::vector<Preset>& presets() {
  static const std::vector<Preset> kPresets = {
      {"zebra-tiny",
       "model: {hidden_size: 128, intermediate_size: 352, num_hidden_layers: 6,\n"
       "        num_attention_heads: 4, num_key_value_heads: 2,\n"
       "        self_attn_type: mix, layer_group_size: 3, window_size: 64}\n",
       "Trains on a CPU in minutes (2.2M parameters with 4,096 tokens): for first steps and for "
       "tests."},
      {"zebra-125m",
       "model: {hidden_size: 768, intermediate_size: 2048, num_hidden_layers: 12,\n"
       "        num_attention_heads: 12,\n"
       "        self_attn_type: mix, layer_group_size: 4, window_size: 512}\n",
       "The smallest size at which comparisons of layouts mean something."},
      {"zebra-350m",
       "model: {hidden_size: 1024, intermediate_size: 2816, num_hidden_layers: 24,\n"
       "        num_attention_heads: 16,\n"
       "        self_attn_type: mix, layer_group_size: 4, window_size: 512}\n",
       "Fits a single GPU with room for long sequences."},
      {"zebra-1.3b",
       "model: {hidden_size: 2048, intermediate_size: 5632, num_hidden_layers: 24,\n"
       "        num_attention_heads: 16,\n"
       "        self_attn_type: mix, layer_group_size: 4, window_size: 512}\n",
       "Heads of 128, as in the 7B shape."},
      {"zebra-7b",
       "model: {hidden_size: 4096, intermediate_size: 11008, num_hidden_layers: 32,\n"
       "        num_attention_heads: 32, vocab_size: 32000, rms_norm_eps: 1.0e-5,\n"
       "        self_attn_type: mix, layer_group_size: 4, window_size: 512}\n",
       "The shape of Llama-2-7B, and of the published Zebra."},
  };
  return kPresets;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : presets()) names.push_back(preset.name);
  return names;
}

const Preset* find_preset(const std::string& name) {
  for (const Preset& preset : presets()) {
    if (preset.name == name) return &preset;
  }
  return nullptr;
}

}  // namespace zebra
