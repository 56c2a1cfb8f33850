#include "model/zebra_model.h"

#include "ops/embedding.h"

namespace zebra {

std::int64_t ModelCache::bytes() const {
  std::int64_t total = 0;
  for (const auto& layer : layers) total += layer.bytes();
  return total;
}

ZebraModelImpl::ZebraModelImpl(const ModelSection& model) : model_(model) { reset(); }

void ZebraModelImpl::reset() {
  const auto vocabulary = model_.vocab_size.value();
  embedding_weight =
      register_parameter("embedding_weight", torch::empty({vocabulary, model_.hidden_size}));
  blocks.clear();
  for (std::int64_t layer = 0; layer < model_.num_hidden_layers; ++layer) {
    blocks.push_back(register_module("block_" + std::to_string(layer), Block(model_, layer)));
  }
  final_norm = register_module("final_norm", RMSNorm(model_.hidden_size, model_.rms_norm_eps));
  if (!model_.tie_word_embeddings) {
    output_weight =
        register_parameter("output_weight", torch::empty({vocabulary, model_.hidden_size}));
  }
}

void ZebraModelImpl::initialize(std::int64_t seed) {
  for (const auto& unit : units()) initialize_weights(unit, seed);
}

torch::Tensor ZebraModelImpl::forward(const torch::Tensor& tokens,
                                      const PackedDocuments& documents) {
  const auto context = make_sequence_context(model_, tokens.size(1), tokens.device(), documents);
  auto x = token_embedding(tokens, embedding_weight);
  for (auto& block : blocks) x = block->forward(x, context);
  return final_norm->forward(x);
}

torch::Tensor ZebraModelImpl::logits(const torch::Tensor& hidden) {
  return torch::linear(hidden, head_weight());
}

CrossEntropySum ZebraModelImpl::loss(const torch::Tensor& tokens, const torch::Tensor& targets,
                                     const PackedDocuments& documents, double z_loss) {
  const auto hidden = forward(tokens, documents);
  return linear_cross_entropy(hidden.flatten(0, 1), head_weight(), targets.flatten(), z_loss);
}

ModelCache ZebraModelImpl::make_cache(std::int64_t longest) const {
  ModelCache cache;
  cache.longest = longest;
  for (const auto& block : blocks) {
    const bool is_local = block->kind() == LayerKind::local;
    cache.layers.emplace_back(is_local ? std::min(model_.window_size.value() + 1, longest)
                                       : longest);
  }
  return cache;
}

torch::Tensor ZebraModelImpl::forward_cached(const torch::Tensor& tokens, ModelCache& cache) {
  const auto context = make_sequence_context(model_, tokens.size(1), tokens.device(), {},
                                             cache.position, cache.longest);
  auto x = token_embedding(tokens, embedding_weight);
  for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
    x = blocks[layer]->forward_cached(x, context, cache.layers[layer]);
  }
  cache.position += tokens.size(1);
  return final_norm->forward(x);
}

std::vector<ParameterUnit> ZebraModelImpl::units() const {
  const auto vocabulary = model_.vocab_size.value(), width = model_.hidden_size;
  const Parameter embedding_parameter = {
      embedding_weight, {{"model.embed_tokens.weight", {vocabulary, width}}}, kInitialDeviation};
  const Parameter norm_parameter = {final_norm->weight, {{"model.norm.weight", {width}}}, 0.0};

  std::vector<ParameterUnit> units = {{"embedding", {embedding_parameter}}};
  for (const auto& block : blocks) units.push_back(block->unit());
  if (model_.tie_word_embeddings) {
    units.front() = {"embedding_and_head", {embedding_parameter, norm_parameter}};
  } else {
    const Parameter head_parameter = {
        output_weight, {{"lm_head.weight", {vocabulary, width}}}, kInitialDeviation};
    units.push_back({"head", {head_parameter, norm_parameter}});
  }
  return units;
}

}  // namespace zebra
