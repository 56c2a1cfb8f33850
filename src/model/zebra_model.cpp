#include "model/zebra_model.h"

#include <algorithm>
#include <memory>

#include "model/unit_pass.h"
#include "ops/linear.h"
#include "ops/logit_bounds.h"
#include "ops/vocabulary.h"

namespace zebra {
namespace {

const char* part_of(LayerKind kind) {
  return kind == LayerKind::global ? "global layers" : "local layers";
}

// ln of the logits that the softmax of each token of x [B, T, hidden_size] has in a layer.
torch::Tensor log_keys(const BlockImpl& block, const torch::Tensor& x,
                       const SequenceContext& context) {
  const auto share = context.chunks ? context.chunks->exchange->share() : ContextShare();
  const auto length = x.size(1) * share.ranks;
  const auto options = torch::TensorOptions(x.device()).dtype(torch::kInt64);
  const auto positions = share.part_of(torch::arange(length, options).unsqueeze(0));
  return log_visible_keys(positions.expand({x.size(0), x.size(1)}),
                          block.kind() == LayerKind::local ? context.window : length,
                          block.attention->sink.defined(), context.documents);
}

}  // namespace

ZebraModelImpl::ZebraModelImpl(const ModelConfig& model, ParameterMemory memory)
    : model_(model), memory_(memory), rotary_(model), window_(model.window_size) {
  reset();
}

void ZebraModelImpl::reset() {
  const auto units = unit_specs(model_);
  const auto& first = units.front().parameters;
  const auto& head = (model_.tie_word_embeddings ? units.front() : units.back()).parameters;
  embedding_weight = register_listed(*this, "embedding_weight", first, memory_);
  blocks.clear();
  for (std::int64_t layer = 0; layer < model_.num_hidden_layers(); ++layer) {
    blocks.push_back(
        register_module("block_" + std::to_string(layer), Block(model_, layer, memory_)));
  }
  final_norm = register_module(
      "final_norm", listed_norm("final_norm.weight", head, model_.rms_norm_eps, memory_));
  output_weight = register_listed(*this, "output_weight", head, memory_);
}

void ZebraModelImpl::initialize(std::int64_t seed) {
  for (const auto& unit : units()) initialize_weights(unit, seed);
}

SequenceContext ZebraModelImpl::context_for(const torch::Tensor& tokens,
                                            const PackedDocuments& documents,
                                            std::int64_t first_position, std::int64_t longest) {
  auto context = make_sequence_context(rotary_, tokens.size(1), tokens.device(), documents,
                                       first_position, longest);
  context.window = window_;
  return context;
}

const RotaryTables& ZebraModelImpl::rotary_tables(std::int64_t length, torch::Device device) {
  make_sequence_context(rotary_, length, device);
  return rotary_;
}

std::int64_t ZebraModelImpl::local_window() const {
  const auto is_local = [](const Block& block) { return block->kind() == LayerKind::local; };
  return std::ranges::any_of(blocks, is_local) ? window_ : 0;
}

std::int64_t ZebraModelImpl::shareable_length(std::int64_t length) const {
  const auto chunks = context_share().chunk_count();
  return chunks * std::max((length + chunks - 1) / chunks, local_window());
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
  const UnitPass pass = {.unit = layer + 1,
                         .part = part_of(blocks[layer]->kind()),
                         .observer = observer_,
                         .recompute = is_recomputed(checkpointing_, layer)};
  const auto saved = checkpointing_ == ActivationCheckpointing::selective && pass.recompute
                         ? std::make_shared<SavedAttention>()
                         : nullptr;
  auto* const statistics = torch::GradMode::is_enabled() ? statistics_ : nullptr;
  const auto body = [block = blocks[layer], context, saved, statistics,
                     layer](const torch::Tensor& input) mutable {
    if (statistics == nullptr) return block->forward(input, context, saved.get());
    SavedAttention kept_for_now;
    auto& kept = saved ? *saved : kept_for_now;
    auto output = block->forward(input, context, &kept);
    statistics->add_attention(layer, kept, log_keys(*block, input, context));
    return output;
  };
  auto output = run_unit(pass, x, body);
  if (statistics != nullptr) statistics->add_output(layer, output);
  return output;
}

torch::Tensor ZebraModelImpl::in_head(const torch::Tensor& x,
                                      const std::function<Tensor(const Tensor&)>& body) {
  return run_unit({.unit = head_unit(), .part = "head and loss", .observer = observer_}, x, body);
}

torch::Tensor ZebraModelImpl::trunk(const torch::Tensor& tokens, const PackedDocuments& documents) {
  const auto context =
      exchange_ == nullptr
          ? context_for(tokens, documents)
          : make_shared_context(rotary_, *exchange_, tokens.size(0), tokens.size(1),
                                tokens.device(), local_window(), documents);
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
                                     const PackedDocuments& documents, double z_loss,
                                     const torch::Tensor& target_weights) {
  CrossEntropySum sums;
  sums.objective = in_head(trunk(tokens, documents), [&](const Tensor& x) {
    const auto hidden = final_norm->forward(x).flatten(0, 1);
    const auto weights = target_weights.defined() ? target_weights.flatten() : target_weights;
    const auto both =
        linear_cross_entropy(hidden, head_weight(), targets.flatten(), z_loss, weights);
    sums.cross_entropy = both.cross_entropy;
    sums.log_sum_exp = both.log_sum_exp;
    if (statistics_ != nullptr && torch::GradMode::is_enabled())
      statistics_->add_output_logits(both.log_sum_exp, targets);
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

torch::Tensor ZebraModelImpl::run_cached(
    const torch::Tensor& tokens,
    const std::function<Tensor(std::size_t layer, const Tensor& x)>& run) {
  auto x = embed(tokens);
  for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
    const UnitPass pass = {
        .unit = layer + 1, .part = part_of(blocks[layer]->kind()), .observer = observer_};
    x = run_unit(pass, x, [&](const Tensor& input) { return run(layer, input); });
  }
  return in_head(x, [this](const Tensor& input) { return final_norm->forward(input); });
}

torch::Tensor ZebraModelImpl::forward_cached(const torch::Tensor& tokens, ModelCache& cache) {
  const auto context = context_for(tokens, {}, cache.position, cache.longest);
  auto hidden = run_cached(tokens, [&](std::size_t layer, const Tensor& x) {
    return blocks[layer]->forward_cached(x, context, cache.layers[layer]);
  });
  cache.position += tokens.size(1);
  return hidden;
}

SequenceContext ZebraModelImpl::context_for(const torch::Tensor& tokens,
                                            std::span<ModelCache* const> caches) {
  const ModelCache no_text;
  std::vector<SequenceContext> rows;
  for (const auto* cache : caches) {
    const auto& of_row = cache != nullptr ? *cache : no_text;
    rows.push_back(context_for(tokens, PackedDocuments(), of_row.position, of_row.longest));
  }
  return stack_contexts(rows);
}

torch::Tensor ZebraModelImpl::forward_cached(const torch::Tensor& tokens,
                                             std::span<ModelCache* const> caches) {
  TORCH_CHECK(tokens.size(0) == static_cast<std::int64_t>(caches.size()) && tokens.size(1) == 1,
              "texts with ", caches.size(), " caches go on by one token each, got ",
              tokens.sizes());
  const auto context = context_for(tokens, caches);
  std::vector<KeyValueCache*> of_layer(caches.size());
  auto hidden = run_cached(tokens, [&](std::size_t layer, const Tensor& x) {
    for (std::size_t row = 0; row < caches.size(); ++row)
      of_layer[row] = caches[row] != nullptr ? &caches[row]->layers[layer] : nullptr;
    return blocks[layer]->forward_cached(x, context, of_layer);
  });
  for (auto* cache : caches)
    if (cache != nullptr) ++cache->position;
  return hidden;
}

std::vector<ParameterUnit> ZebraModelImpl::units() const {
  std::vector<ParameterUnit> units;
  for (const auto& unit : unit_specs(model_)) units.push_back(bind_parameters(unit, *this));
  return units;
}

}  // namespace zebra
