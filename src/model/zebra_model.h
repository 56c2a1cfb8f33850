#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "config/config.h"
#include "model/block.h"
#include "model/layer_statistics.h"
#include "model/parameter.h"
#include "model/rms_norm.h"
#include "model/sequence_context.h"
#include "model/unit_pass.h"
#include "ops/vocabulary.h"

namespace zebra {

/// Caches of all layers of one generation call.
struct ModelCache {
  std::vector<KeyValueCache> layers;
  std::int64_t position = 0;  ///< tokens seen so far
  std::int64_t longest = 1;   ///< tokens that the call will reach at most
};

/// The language model: embedding, blocks, final norm, head (the embedding itself when tied).
class ZebraModelImpl : public torch::nn::Cloneable<ZebraModelImpl> {
 public:
  /// Weights are uninitialized until `initialize` or a checkpoint fills them.
  explicit ZebraModelImpl(const ModelConfig& model,
                          ParameterMemory memory = ParameterMemory::allocated);
  void reset() override;

  /// Initial weights as a function of `seed` alone (see initialize_weights).
  void initialize(std::int64_t seed);

  /// tokens [B, T] int64 -> final hidden states [B, T, hidden_size], normalised, before the head.
  torch::Tensor forward(const torch::Tensor& tokens, const PackedDocuments& documents = {});

  /// hidden [..., hidden_size] -> logits [..., vocab_size] in the weights' type.
  torch::Tensor logits(const torch::Tensor& hidden);

  /// Summed cross-entropy of `targets` [B, T] (kIgnoredTarget where none), each multiplied by its
  /// weight where `target_weights` [B, T] is defined, see linear_cross_entropy.
  CrossEntropySum loss(const torch::Tensor& tokens, const torch::Tensor& targets,
                       const PackedDocuments& documents = {}, double z_loss = 0.0,
                       const torch::Tensor& target_weights = {});

  /// Cross-entropy of each target, [B, T] float32, 0 where ignored. No gradient.
  torch::Tensor token_losses(const torch::Tensor& tokens, const torch::Tensor& targets,
                             const PackedDocuments& documents = {});

  /// Which activations loss() keeps for its backward pass, and which it computes again.
  void set_activation_checkpointing(ActivationCheckpointing mode) { checkpointing_ = mode; }

  /// From now on local layers see `window` previous tokens instead of window_size (a warm-up of the
  /// window). Caches that exist already keep theirs.
  void set_window(std::int64_t window) { window_ = window; }
  std::int64_t window() const { return window_; }

  /// Makes the rotary factors of whole sequences of `length` tokens where they are not there
  /// (passes over other lengths may have replaced them), and returns all that there are.
  const RotaryTables& rotary_tables(std::int64_t length, torch::Device device);

  /// From now on `observer` (which must outlive its use; null: none) hears of every unit that a
  /// pass comes to. Gradients then exist for loss() only.
  void set_observer(UnitObserver* observer) { observer_ = observer; }

  /// From now on passes with a gradient add to `statistics` (which must outlive their backward;
  /// null: to none) what they show of each layer. The same bits come out.
  void set_statistics(LayerStatistics* statistics) { statistics_ = statistics; }

  /// From now on (null: no more) the ranks of `exchange`, which must outlive its use, share each
  /// sequence of a call: tokens, targets, documents and results are those of this rank's
  /// ContextShare. Calls with a cache are whole on each rank.
  void set_context(ContextExchange* exchange) { exchange_ = exchange; }
  ContextShare context_share() const { return exchange_ ? exchange_->share() : ContextShare{}; }

  /// The shortest length, from `length` on, of sequences that those ranks can share.
  std::int64_t shareable_length(std::int64_t length) const;

  /// Caches for one call that reaches at most `longest` tokens; local layers hold window + 1 of
  /// them.
  ModelCache make_cache(std::int64_t longest) const;

  /// As forward, for the next tokens of the text in `cache`: first the whole prompt, then one token
  /// at a time.
  torch::Tensor forward_cached(const torch::Tensor& tokens, ModelCache& cache);

  /// As forward, for the next token of each of B texts, tokens [B, 1], that have a cache (of one
  /// sequence, filled with a prompt) each and may differ in length. A row whose cache is null has
  /// no text, and its result no meaning. Attention is computed row by row; what is computed of all
  /// rows together are the products with weights, which are read once for all of them.
  torch::Tensor forward_cached(const torch::Tensor& tokens, std::span<ModelCache* const> caches);

  const torch::Tensor& head_weight() const {
    return model_.tie_word_embeddings ? embedding_weight : output_weight;
  }
  const ModelConfig& config() const { return model_; }

  /// All parameters in the order of the forward pass: embedding (with norm and head when tied),
  /// blocks, norm and head.
  std::vector<ParameterUnit> units() const;

  torch::Tensor embedding_weight;  ///< [vocab_size, hidden_size]
  torch::Tensor output_weight;     ///< [vocab_size, hidden_size]; undefined when tied
  std::vector<Block> blocks;
  RMSNorm final_norm{nullptr};

 private:
  using Tensor = torch::Tensor;

  /// Embedding and blocks: [B, T, hidden_size] before the final norm.
  Tensor trunk(const Tensor& tokens, const PackedDocuments& documents);
  SequenceContext context_for(const Tensor& tokens, const PackedDocuments& documents = {},
                              std::int64_t first_position = 0, std::int64_t longest = 0);
  SequenceContext context_for(const Tensor& tokens, std::span<ModelCache* const> caches);
  /// What local layers see; 0 where there are none.
  std::int64_t local_window() const;
  Tensor embed(const Tensor& tokens);
  Tensor run_block(std::size_t layer, const Tensor& x, const SequenceContext& context);
  /// The whole pass over `tokens`, each layer by `run`.
  Tensor run_cached(const Tensor& tokens,
                    const std::function<Tensor(std::size_t layer, const Tensor& x)>& run);
  /// A use of the head's unit: final norm and output weights.
  Tensor in_head(const Tensor& x, const std::function<Tensor(const Tensor&)>& body);
  std::size_t head_unit() const { return model_.tie_word_embeddings ? 0 : blocks.size() + 1; }

  ModelConfig model_;
  ParameterMemory memory_;
  RotaryTables rotary_;
  std::int64_t window_;
  ActivationCheckpointing checkpointing_ = ActivationCheckpointing::none;
  UnitObserver* observer_ = nullptr;
  LayerStatistics* statistics_ = nullptr;
  ContextExchange* exchange_ = nullptr;
};
TORCH_MODULE(ZebraModel);

}  // namespace zebra
