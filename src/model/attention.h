#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include "config/config.h"
#include "model/key_value_cache.h"
#include "model/layout.h"
#include "model/parameter.h"
#include "model/rms_norm.h"
#include "model/sequence_context.h"
#include "ops/attention.h"

namespace zebra {

/// Self-attention of one layer: packed query, key and value projection, with `qk_norm` an RMSNorm
/// of each head's query and key, rotary embedding, global or local attention (with `attention_sink`
/// a learned sink in local layers), output projection. No biases.
class AttentionImpl : public torch::nn::Cloneable<AttentionImpl> {
 public:
  AttentionImpl(const ModelSection& model, LayerKind kind,
                ParameterMemory memory = ParameterMemory::allocated);
  void reset() override;

  /// x [B, T, hidden_size] -> [B, T, hidden_size].
  torch::Tensor forward(const torch::Tensor& x, const SequenceContext& context,
                        AttentionResult* saved = nullptr);

  /// The same while filling `cache`: a whole prompt into an empty cache, or one token per sequence.
  torch::Tensor forward_cached(const torch::Tensor& x, const SequenceContext& context,
                               KeyValueCache& cache);

  torch::Tensor qkv_weight;  ///< [(Hq + 2 Hkv) D, hidden_size]: rows of all query heads, then keys,
                             ///< then values
  torch::Tensor output_weight;                     ///< [hidden_size, Hq D]
  RMSNorm query_norm{nullptr}, key_norm{nullptr};  ///< over head_dim; null without qk_norm
  torch::Tensor sink;                              ///< [Hq]; undefined without

 private:
  PackedHeads project(const torch::Tensor& x);
  torch::Tensor attend(const PackedHeads& packed, const SequenceContext& context,
                       AttentionResult* saved = nullptr) const;
  torch::Tensor output(const torch::Tensor& attended) const;

  ModelSection model_;
  LayerKind kind_;
  ParameterMemory memory_;
};
TORCH_MODULE(Attention);

}  // namespace zebra
