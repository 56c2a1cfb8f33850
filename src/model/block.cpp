#include "model/block.h"

#include "ops/linear.h"

namespace zebra {

FeedForwardImpl::FeedForwardImpl(const ModelConfig& model, ParameterMemory memory)
    : model_(model), memory_(memory) {
  reset();
}

void FeedForwardImpl::reset() {
  // The kind of the layer makes no difference here.
  const auto list = block_parameters(model_, LayerKind::global);
  gate_up_weight = register_listed(*this, "feed_forward.gate_up_weight", list, memory_);
  down_weight = register_listed(*this, "feed_forward.down_weight", list, memory_);
}

torch::Tensor FeedForwardImpl::forward(const torch::Tensor& x) {
  return swiglu_linear(linear_projection(x, gate_up_weight), down_weight);
}

BlockImpl::BlockImpl(const ModelConfig& model, std::int64_t layer, ParameterMemory memory)
    : model_(model),
      layer_(layer),
      kind_(model.layers.at(static_cast<std::size_t>(layer))),
      memory_(memory) {
  reset();
}

void BlockImpl::reset() {
  const auto list = block_parameters(model_, kind_);
  const auto norm = [&](const std::string& name) {
    return register_module(name, listed_norm(name + ".weight", list, model_.rms_norm_eps, memory_));
  };
  attention_norm = norm("attention_norm");
  attention = register_module("attention", Attention(model_, kind_, memory_));
  feed_forward_norm = norm("feed_forward_norm");
  feed_forward = register_module("feed_forward", FeedForward(model_, memory_));
}

torch::Tensor BlockImpl::finish(const torch::Tensor& x, const torch::Tensor& attended) {
  if (has_reordered_norms()) {
    const auto between = x + attention_norm->forward(attended);
    return between + feed_forward_norm->forward(feed_forward->forward(between));
  }
  const auto between = feed_forward_norm->forward(x, attended);
  return between.sum + feed_forward->forward(between.normed);
}

torch::Tensor BlockImpl::forward(const torch::Tensor& x, const SequenceContext& context,
                                 SavedAttention* saved) {
  if (has_reordered_norms()) return finish(x, attention->forward(x, context, saved));
  const auto before = attention_norm->forward(x, {});
  return finish(before.sum, attention->forward(before.normed, context, saved));
}

torch::Tensor BlockImpl::forward(const torch::Tensor& x) {
  return forward(x, make_sequence_context(model_, x.size(1), x.device()));
}

torch::Tensor BlockImpl::forward_cached(const torch::Tensor& x, const SequenceContext& context,
                                        KeyValueCache& cache) {
  const auto read = has_reordered_norms() ? x : attention_norm->forward(x);
  return finish(x, attention->forward_cached(read, context, cache));
}

torch::Tensor BlockImpl::forward_cached(const torch::Tensor& x, const SequenceContext& context,
                                        std::span<KeyValueCache* const> caches) {
  const auto read = has_reordered_norms() ? x : attention_norm->forward(x);
  return finish(x, attention->forward_cached(read, context, caches));
}

ParameterUnit BlockImpl::unit() const { return bind_parameters(block_spec(model_, layer_), *this); }

}  // namespace zebra
