#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/names.h"
#include "interop/huggingface_rope.h"

namespace zebra {

/// What `layer_types` calls the two kinds of layers.
inline constexpr const char* kFullAttention = "full_attention";
inline constexpr const char* kSlidingAttention = "sliding_attention";

/// Which layers of an architecture are local where config.json does not list them.
enum class StockLayout {
  full,             ///< none, and no list may say otherwise
  sliding,          ///< all where there is a window, and no list may say otherwise
  sliding_or_full,  ///< the same, but a list decides
  first_of_four,    ///< all but layers 0, 4, 8, …
  last_of_four,     ///< all but layers 3, 7, 11, …
  last_layers,      ///< with a window, those from max_window_layers on
  letters           ///< our own: attention_pattern says it
};

/// An architecture of transformers that Zebra reads, with what release 5.24 takes where a key is
/// absent; nothing: the key must be there, or is derived as Llama derives it.
struct Architecture {
  std::string_view model_type;
  StockLayout layout = StockLayout::full;
  std::optional<std::int64_t> key_value_heads = {}, head_dim = {}, max_position_embeddings = {},
                              sliding_window = {};
  std::optional<double> rms_norm_eps = {};
  std::int64_t max_window_layers = 0;  ///< of StockLayout::last_layers
  bool tie_word_embeddings = false;
  NormPlacement norm_placement = NormPlacement::pre;
  QkNorm qk_norm = QkNorm::none;
  AttentionSink attention_sink = AttentionSink::none;
  RopeConventions rope = {};

  bool is_zebra() const { return layout == StockLayout::letters; }
};

/// The architecture of that model_type; null where Zebra does not read it.
const Architecture* find_architecture(const std::string& model_type);

/// Why a well-known model_type is not read ("its queries, keys and values have biases"); empty for
/// any other.
std::string reason_against(const std::string& model_type);

/// All that are read: "llama, mistral, … and zebra".
std::string architectures_in_words();

}  // namespace zebra
