#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include "config/config.h"
#include "model/attention.h"
#include "model/feed_forward.h"
#include "model/parameter.h"
#include "model/rms_norm.h"

namespace zebra {

/// One Zebra layer: x + attention(norm(x)), then h + feed_forward(norm(h)). A plain torch::nn
/// module that works alone: `to`, `clone` and `torch::save` do what they always do. Weights are
/// uninitialised until `initialize_weights(unit(…), seed)` or a checkpoint fills them.
class BlockImpl : public torch::nn::Cloneable<BlockImpl> {
 public:
  /// `model` is a resolved section; `layer` (from 0) chooses global or local by the attention
  /// pattern.
  BlockImpl(const ModelSection& model, std::int64_t layer,
            ParameterMemory memory = ParameterMemory::allocated);
  void reset() override;

  /// x [B, T, hidden_size] -> [B, T, hidden_size].
  /// `saved` is for recomputation with the attention's output of a first run: see AttentionResult.
  torch::Tensor forward(const torch::Tensor& x, const SequenceContext& context,
                        AttentionResult* saved = nullptr);

  /// The same without documents and with positions from 0.
  torch::Tensor forward(const torch::Tensor& x);

  torch::Tensor forward_cached(const torch::Tensor& x, const SequenceContext& context,
                               KeyValueCache& cache);

  LayerKind kind() const { return kind_; }

  /// The block's parameters with their checkpoint names ("model.layers.3.self_attn.q_proj.weight").
  ParameterUnit unit() const;

  RMSNorm attention_norm{nullptr}, feed_forward_norm{nullptr};
  Attention attention{nullptr};
  FeedForward feed_forward{nullptr};

 private:
  ModelSection model_;
  std::int64_t layer_;
  LayerKind kind_;
  ParameterMemory memory_;
};
TORCH_MODULE(Block);

}  // namespace zebra
