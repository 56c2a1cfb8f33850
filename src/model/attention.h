#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <span>

#include "config/config.h"
#include "model/parameter.h"
#include "model/rms_norm.h"
#include "model/sequence_context.h"
#include "ops/attention.h"
#include "ops/context_attention.h"

namespace zebra {

/// Rotated keys and values of one layer during generation: the last `capacity` tokens, in a ring. A
/// local layer needs its window + 1; a global layer as many as the text grows long. Memory grows
/// with the tokens. Attention of one new token does not care for their order.
class KeyValueCache {
 public:
  explicit KeyValueCache(std::int64_t capacity) : capacity_(capacity) {}

  /// Adds tokens, k and v [B, T, Hkv, D]; of more than `capacity` only the last are kept.
  void append(const torch::Tensor& k, const torch::Tensor& v);

  bool empty() const { return tokens_seen_ == 0; }
  std::int64_t size() const { return std::min(tokens_seen_, capacity_); }

  /// [B, size(), Hkv, D], views.
  torch::Tensor keys() const { return keys_.narrow(1, 0, size()); }
  torch::Tensor values() const { return values_.narrow(1, 0, size()); }

 private:
  /// Room for so many tokens, which is at most `capacity`.
  void reserve(std::int64_t tokens, const torch::Tensor& k, const torch::Tensor& v);

  std::int64_t capacity_;
  std::int64_t tokens_seen_ = 0;
  torch::Tensor keys_, values_;
};

/// Self-attention of one layer: packed query, key and value projection, with `qk_norm` an RMSNorm
/// of queries and of keys (each head by itself, or all heads of a token together), rotary
/// embedding, global or local attention (with `attention_sink` a learned sink, in local layers or
/// in all), output projection. No biases.
class AttentionImpl : public torch::nn::Cloneable<AttentionImpl> {
 public:
  AttentionImpl(const ModelConfig& model, LayerKind kind,
                ParameterMemory memory = ParameterMemory::allocated);
  void reset() override;

  /// x [B, T, hidden_size] -> [B, T, hidden_size].
  torch::Tensor forward(const torch::Tensor& x, const SequenceContext& context,
                        SavedAttention* saved = nullptr);

  /// The same while filling `cache`: a whole prompt into an empty cache, or one token per sequence.
  torch::Tensor forward_cached(const torch::Tensor& x, const SequenceContext& context,
                               KeyValueCache& cache);

  /// The same for one token of each of B texts, x [B, 1, hidden_size], that have a cache (of one
  /// sequence) each and may differ in length. A row whose cache is null has no text: it sees
  /// nothing.
  torch::Tensor forward_cached(const torch::Tensor& x, const SequenceContext& context,
                               std::span<KeyValueCache* const> caches);

  torch::Tensor qkv_weight;  ///< [(Hq + 2 Hkv) D, hidden_size]: rows of all query heads, then keys,
                             ///< then values
  torch::Tensor output_weight;                     ///< [hidden_size, Hq D]
  RMSNorm query_norm{nullptr}, key_norm{nullptr};  ///< over D, or over Hq D and Hkv D; null without
                                                   ///< qk_norm
  torch::Tensor sink;                              ///< [Hq]; undefined without

 private:
  PackedHeads project(const torch::Tensor& x);
  torch::Tensor attend(const PackedHeads& packed, const SequenceContext& context,
                       SavedAttention* saved = nullptr) const;
  torch::Tensor output(const torch::Tensor& attended) const;

  ModelConfig model_;
  LayerKind kind_;
  ParameterMemory memory_;
};
TORCH_MODULE(Attention);

}  // namespace zebra
