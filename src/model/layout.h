#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"

namespace zebra {

enum class LayerKind { global, local };

/// The kind of each layer, from a resolved model section (attention_pattern: one letter per layer).
std::vector<LayerKind> layer_kinds(const ModelSection& model);

/// Whether layers of that kind have attention sinks.
bool has_sink(const ModelSection& model, LayerKind kind);

/// "global" or "local".
std::string kind_name(LayerKind kind);

/// The window in the words of every convention, because they differ by one:
/// "512 previous + itself = 513 keys (HF sliding_window 513, FlashAttention (512, 0))".
std::string window_in_words(std::int64_t window);

/// Width of the packed query, key and value projection: (Hq + 2 Hkv) D.
std::int64_t packed_projection_width(const ModelSection& model);

}  // namespace zebra
