#pragma once

#include <torch/types.h>

#include <cstdint>

#include "config/config.h"
#include "model/layout.h"
#include "ops/attention_inputs.h"

namespace zebra {

/// What all layers of one call share: where documents lie, the window of local layers, and the
/// rotary factors of each kind of layer.
struct SequenceContext {
  PackedDocuments documents;
  std::int64_t window = 0;  ///< previous tokens that local layers see
  RotaryFactors global, local;

  const RotaryFactors& rotary(LayerKind kind) const {
    return kind == LayerKind::global ? global : local;
  }
};

/// For T tokens per sequence from `first_position` on. `longest` (0: first_position + T) is the
/// longest length that the whole call will reach, which dynamic NTK scaling wants to know.
/// `documents` lie on `device`.
SequenceContext make_sequence_context(const ModelSection& model, std::int64_t length,
                                      torch::Device device, const PackedDocuments& documents = {},
                                      std::int64_t first_position = 0, std::int64_t longest = 0);

}  // namespace zebra
