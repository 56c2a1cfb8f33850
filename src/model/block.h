#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <span>

#include "config/config.h"
#include "model/attention.h"
#include "model/parameter.h"
#include "model/rms_norm.h"

namespace zebra {

/// SwiGLU (Shazeer, arXiv 2002.05202): down(silu(gate(x)) * up(x)), gate and up in one projection.
/// No biases.
class FeedForwardImpl : public torch::nn::Cloneable<FeedForwardImpl> {
 public:
  explicit FeedForwardImpl(const ModelConfig& model,
                           ParameterMemory memory = ParameterMemory::allocated);
  void reset() override;

  /// x [B, T, hidden_size] -> [B, T, hidden_size].
  torch::Tensor forward(const torch::Tensor& x);

  torch::Tensor gate_up_weight;  ///< [2 intermediate_size, hidden_size]: rows of gate, then of up
  torch::Tensor down_weight;     ///< [hidden_size, intermediate_size]

 private:
  ModelConfig model_;
  ParameterMemory memory_;
};
TORCH_MODULE(FeedForward);

/// One Zebra layer: x + attention(norm(x)), then h + feed_forward(norm(h)); with reordered norms
/// x + norm(attention(x)), then h + norm(feed_forward(h)). A plain torch::nn module that works
/// alone: `to`, `clone` and `torch::save` do what they always do. Weights are uninitialized until
/// `initialize_weights(unit(…), seed)` or a checkpoint fills them.
class BlockImpl : public torch::nn::Cloneable<BlockImpl> {
 public:
  /// `layer` (from 0) chooses global or local by the attention pattern.
  BlockImpl(const ModelConfig& model, std::int64_t layer,
            ParameterMemory memory = ParameterMemory::allocated);
  void reset() override;

  /// x [B, T, hidden_size] -> [B, T, hidden_size].
  /// `saved` is for recomputation with the attention's output of a first run: see SavedAttention.
  torch::Tensor forward(const torch::Tensor& x, const SequenceContext& context,
                        SavedAttention* saved = nullptr);

  /// The same without documents and with positions from 0.
  torch::Tensor forward(const torch::Tensor& x);

  // As those of the attention.
  torch::Tensor forward_cached(const torch::Tensor& x, const SequenceContext& context,
                               KeyValueCache& cache);
  torch::Tensor forward_cached(const torch::Tensor& x, const SequenceContext& context,
                               std::span<KeyValueCache* const> caches);

  LayerKind kind() const { return kind_; }

  /// The block's parameters with their checkpoint names ("model.layers.3.self_attn.q_proj.weight").
  ParameterUnit unit() const;

  RMSNorm attention_norm{nullptr}, feed_forward_norm{nullptr};
  Attention attention{nullptr};
  FeedForward feed_forward{nullptr};

 private:
  bool has_reordered_norms() const { return model_.norm_placement == NormPlacement::reordered; }
  /// The layer's output, from its input and what attention made of it.
  torch::Tensor finish(const torch::Tensor& x, const torch::Tensor& attended);

  ModelConfig model_;
  std::int64_t layer_;
  LayerKind kind_;
  ParameterMemory memory_;
};
TORCH_MODULE(Block);

}  // namespace zebra
