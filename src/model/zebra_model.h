#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "config/config.h"
#include "model/block.h"
#include "model/parameter.h"
#include "model/rms_norm.h"
#include "ops/linear_cross_entropy.h"

namespace zebra {

/// Caches of all layers of one generation call.
struct ModelCache {
  std::vector<KeyValueCache> layers;
  std::int64_t position = 0;  ///< tokens seen so far
  std::int64_t longest;       ///< tokens that the call will reach at most

  std::int64_t bytes() const;
};

/// The language model: embedding, blocks, final norm, head (the embedding itself when tied).
class ZebraModelImpl : public torch::nn::Cloneable<ZebraModelImpl> {
 public:
  /// A resolved section with vocab_size. Weights are uninitialised until `initialize` or a
  /// checkpoint fills them.
  explicit ZebraModelImpl(const ModelSection& model);
  void reset() override;

  /// Initial weights as a function of `seed` alone (see initialize_weights).
  void initialize(std::int64_t seed);

  /// tokens [B, T] int64 -> final hidden states [B, T, hidden_size], normalised, before the head.
  torch::Tensor forward(const torch::Tensor& tokens, const PackedDocuments& documents = {});

  /// hidden [..., hidden_size] -> logits [..., vocab_size] in the weights' type.
  torch::Tensor logits(const torch::Tensor& hidden);

  /// Summed cross-entropy of `targets` [B, T] (kIgnoredTarget where none), see
  /// linear_cross_entropy.
  CrossEntropySum loss(const torch::Tensor& tokens, const torch::Tensor& targets,
                       const PackedDocuments& documents = {}, double z_loss = 0.0);

  /// Caches for one call that reaches at most `longest` tokens; local layers hold window + 1 of
  /// them.
  ModelCache make_cache(std::int64_t longest) const;

  /// As forward, for the next tokens of the text in `cache`: first the whole prompt, then one token
  /// at a time.
  torch::Tensor forward_cached(const torch::Tensor& tokens, ModelCache& cache);

  const torch::Tensor& head_weight() const {
    return model_.tie_word_embeddings ? embedding_weight : output_weight;
  }
  const ModelSection& config() const { return model_; }

  /// All parameters in the order of the forward pass: embedding (with norm and head when tied),
  /// blocks, norm and head.
  std::vector<ParameterUnit> units() const;

  torch::Tensor embedding_weight;  ///< [vocab_size, hidden_size]
  torch::Tensor output_weight;     ///< [vocab_size, hidden_size]; undefined when tied
  std::vector<Block> blocks;
  RMSNorm final_norm{nullptr};

 private:
  ModelSection model_;
};
TORCH_MODULE(ZebraModel);

}  // namespace zebra
