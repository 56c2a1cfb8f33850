#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "config/config.h"
#include "config/model_config.h"
#include "ops/attention_inputs.h"
#include "ops/context_attention.h"

namespace zebra {

struct RotaryFrequencies {
  std::vector<double> radians_per_token;  ///< one per pair (j, j + D / 2); empty: no rotary
                                          ///< embedding in this kind of layer
  double amplitude = 1.0;  ///< factor on cosines and sines (YaRN's attention temperature)

  bool operator==(const RotaryFrequencies&) const = default;
};

/// Inverse frequencies of one kind of layer, scaled as `rope_scaling` says (local layers are not
/// where it names global ones only). `longest` is the longest length of the call (dynamic NTK
/// depends on it). Sources: none, Su et al. arXiv 2104.09864; linear, Chen et al. arXiv 2306.15595;
/// dynamic NTK and YaRN, Peng et al. arXiv 2309.00071, llama3, Llama 3.1 (arXiv 2407.21783), with
/// HuggingFace's conventions.
RotaryFrequencies rotary_frequencies(const ModelConfig& model, LayerKind kind,
                                     std::int64_t longest);

/// Cosines and sines at `positions` (any shape, int64): [..., D / 2] float32, computed in float64.
RotaryFactors rotary_factors(const RotaryFrequencies& frequencies, const torch::Tensor& positions);

/// What all layers of one call share: where documents lie, the window of local layers, and the
/// rotary factors of each kind of layer.
struct SequenceContext {
  PackedDocuments documents;
  std::int64_t window = 0;  ///< previous tokens that local layers see
  RotaryFactors global, local;
  std::optional<ContextChunks> chunks = {};  ///< of sequences that ranks share

  const RotaryFactors& rotary(LayerKind kind) const {
    return kind == LayerKind::global ? global : local;
  }
};

/// The rotary factors of a model at the positions 0, 1, …: made on the first call for a device, and
/// again where positions beyond them are asked for or dynamic NTK scaling wants other angles. So a
/// step that is as long as the one before it copies nothing to the device and computes no angle.
class RotaryTables {
 public:
  explicit RotaryTables(const ModelConfig& model) : model_(model) {}

  const ModelConfig& model() const { return model_; }

  /// Cosines and sines [N, D / 2], N >= length; undefined where the layers have no rotary
  /// embedding. `longest` as in rotary_frequencies.
  RotaryFactors of(LayerKind kind, std::int64_t length, std::int64_t longest, torch::Device device);

 private:
  struct Table {
    RotaryFrequencies frequencies;
    RotaryFactors factors;
  };

  ModelConfig model_;
  Table global_, local_;
};

/// For T tokens per sequence from `first_position` on. `longest` (0: first_position + T) is the
/// longest length that the whole call will reach, which dynamic NTK scaling wants to know.
/// `documents` lie on `device`.
SequenceContext make_sequence_context(RotaryTables& tables, std::int64_t length,
                                      torch::Device device, const PackedDocuments& documents = {},
                                      std::int64_t first_position = 0, std::int64_t longest = 0);

/// For what one rank holds of `batch` sequences that are shared, `length` tokens of each;
/// `documents` has the first tokens of these alone, on `device`.
SequenceContext make_shared_context(RotaryTables& tables, ContextExchange& exchange,
                                    std::int64_t batch, std::int64_t length, torch::Device device,
                                    std::int64_t window, const PackedDocuments& documents);

/// The context of a batch whose rows, at least one, have contexts of their own: each of one
/// sequence without documents, all of the same model and the same number of tokens.
SequenceContext stack_contexts(const std::vector<SequenceContext>& rows);

/// The same as make_sequence_context with tables for this call alone.
SequenceContext make_sequence_context(const ModelConfig& model, std::int64_t length,
                                      torch::Device device, const PackedDocuments& documents = {},
                                      std::int64_t first_position = 0, std::int64_t longest = 0);

}  // namespace zebra
