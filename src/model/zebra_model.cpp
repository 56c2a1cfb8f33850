#include "model/zebra_model.h"

#include <memory>

#include "model/unit_pass.h"
#include "ops/linear.h"
#include "ops/vocabulary.h"

namespace zebra {
namespace {

const char* part_of(LayerKind kind) {
  return kind == LayerKind::global ? "global layers" : "local layers";
}

}  // namespace

std::int64_t ModelCache::bytes() const {
  std::int64_t total = 0;
  for (const auto& layer : layers) total += layer.bytes();
  return total;
}

ZebraModelImpl::ZebraModelImpl(const ModelSection& model, ParameterMemory memory)
    : model_(model), memory_(memory), window_(model.window_size.value_or(0)) {
  reset();
}

void ZebraModelImpl::reset() {
  const auto vocabulary = model_.vocab_size.value();
  embedding_weight = register_parameter("embedding_weight",
                                        empty_parameter({vocabulary, model_.hidden_size}, memory_));
  blocks.clear();
  for (std::int64_t layer = 0; layer < model_.num_hidden_layers; ++layer) {
    blocks.push_back(
        register_module("block_" + std::to_string(layer), Block(model_, layer, memory_)));
  }
  final_norm =
      register_module("final_norm", RMSNorm(model_.hidden_size, model_.rms_norm_eps, memory_));
  if (!model_.tie_word_embeddings) {
    output_weight = register_parameter("output_weight",
                                       empty_parameter({vocabulary, model_.hidden_size}, memory_));
  }
}

void ZebraModelImpl::initialize(std::int64_t seed) {
  for (const auto& unit : units()) initialize_weights(unit, seed);
}

SequenceContext ZebraModelImpl::context_for(const torch::Tensor& tokens,
                                            const PackedDocuments& documents,
                                            std::int64_t first_position,
                                            std::int64_t longest) const {
  auto context = make_sequence_context(model_, tokens.size(1), tokens.device(), documents,
                                       first_position, longest);
  context.window = window_;
  return context;
}

torch::Tensor ZebraModelImpl::embed(const torch::Tensor& tokens) {
  const UnitPass pass = {
      .unit = 0, .part = "embedding", .observer = observer_, .backward_reads_weights = false};
  return run_unit(pass, {}, [this, tokens](const torch::Tensor&) {
    return token_embedding(tokens, embedding_weight);
  });
}

torch::Tensor ZebraModelImpl::run_block(std::size_t layer, const torch::Tensor& x,
                                        const SequenceContext& context) {
  const bool every_second = checkpointing_ == ActivationCheckpointing::every_2;
  const UnitPass pass = {
      .unit = layer + 1,
      .part = part_of(blocks[layer]->kind()),
      .observer = observer_,
      .recompute = every_second ? layer % 2 == 0 : checkpointing_ != ActivationCheckpointing::none};
  const auto saved = checkpointing_ == ActivationCheckpointing::selective && pass.recompute
                         ? std::make_shared<AttentionResult>()
                         : nullptr;
  return run_unit(pass, x,
                  [block = blocks[layer], context, saved](const torch::Tensor& input) mutable {
                    return block->forward(input, context, saved.get());
                  });
}

torch::Tensor ZebraModelImpl::in_head(const torch::Tensor& x,
                                      const std::function<Tensor(const Tensor&)>& body) {
  return run_unit({.unit = head_unit(), .part = "head and loss", .observer = observer_}, x, body);
}

torch::Tensor ZebraModelImpl::trunk(const torch::Tensor& tokens, const PackedDocuments& documents) {
  const auto context = context_for(tokens, documents);
  auto x = embed(tokens);
  for (std::size_t layer = 0; layer < blocks.size(); ++layer) x = run_block(layer, x, context);
  return x;
}

torch::Tensor ZebraModelImpl::forward(const torch::Tensor& tokens,
                                      const PackedDocuments& documents) {
  return in_head(trunk(tokens, documents),
                 [this](const Tensor& x) { return final_norm->forward(x); });
}

torch::Tensor ZebraModelImpl::logits(const torch::Tensor& hidden) {
  return in_head(hidden, [this](const Tensor& x) { return linear_projection(x, head_weight()); });
}

CrossEntropySum ZebraModelImpl::loss(const torch::Tensor& tokens, const torch::Tensor& targets,
                                     const PackedDocuments& documents, double z_loss) {
  CrossEntropySum sums;
  sums.objective = in_head(trunk(tokens, documents), [&](const Tensor& x) {
    const auto hidden = final_norm->forward(x).flatten(0, 1);
    const auto both = linear_cross_entropy(hidden, head_weight(), targets.flatten(), z_loss);
    sums.cross_entropy = both.cross_entropy;
    return both.objective;
  });
  return sums;
}

torch::Tensor ZebraModelImpl::token_losses(const torch::Tensor& tokens,
                                           const torch::Tensor& targets,
                                           const PackedDocuments& documents) {
  const torch::NoGradGuard no_grad;
  const auto losses = in_head(trunk(tokens, documents), [&](const Tensor& x) {
    const auto hidden = final_norm->forward(x).flatten(0, 1);
    return token_cross_entropy(hidden, head_weight(), targets.flatten());
  });
  return losses.view(targets.sizes());
}

ModelCache ZebraModelImpl::make_cache(std::int64_t longest) const {
  ModelCache cache;
  cache.longest = longest;
  for (const auto& block : blocks) {
    const bool is_local = block->kind() == LayerKind::local;
    cache.layers.emplace_back(is_local ? std::min(window_ + 1, longest) : longest);
  }
  return cache;
}

torch::Tensor ZebraModelImpl::forward_cached(const torch::Tensor& tokens, ModelCache& cache) {
  const auto context = context_for(tokens, {}, cache.position, cache.longest);
  auto x = embed(tokens);
  for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
    const UnitPass pass = {
        .unit = layer + 1, .part = part_of(blocks[layer]->kind()), .observer = observer_};
    x = run_unit(pass, x, [&](const Tensor& input) {
      return blocks[layer]->forward_cached(input, context, cache.layers[layer]);
    });
  }
  cache.position += tokens.size(1);
  return in_head(x, [this](const Tensor& input) { return final_norm->forward(input); });
}

std::vector<ParameterUnit> ZebraModelImpl::units() const {
  const auto vocabulary = model_.vocab_size.value(), width = model_.hidden_size;
  const InitialWeights initial = {0.0, model_.initializer_range};
  const Parameter embedding_parameter = {
      embedding_weight, {{"model.embed_tokens.weight", {vocabulary, width}}}, initial};
  const Parameter norm_parameter = {final_norm->weight, {{"model.norm.weight", {width}}}, kOnes};

  std::vector<ParameterUnit> units = {{"embedding", {embedding_parameter}}};
  for (const auto& block : blocks) units.push_back(block->unit());
  if (model_.tie_word_embeddings) {
    units.front() = {"embedding_and_head", {embedding_parameter, norm_parameter}};
  } else {
    const Parameter head_parameter = {
        output_weight, {{"lm_head.weight", {vocabulary, width}}}, initial};
    units.push_back({"head", {head_parameter, norm_parameter}});
  }
  return units;
}

}  // namespace zebra
