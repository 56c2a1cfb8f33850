#include "model/attention.h"

#include "ops/linear.h"

namespace zebra {

AttentionImpl::AttentionImpl(const ModelSection& model, LayerKind kind, ParameterMemory memory)
    : model_(model), kind_(kind), memory_(memory) {
  reset();
}

void AttentionImpl::reset() {
  qkv_weight = register_parameter(
      "qkv_weight",
      empty_parameter({packed_projection_width(model_), model_.hidden_size}, memory_));
  output_weight = register_parameter(
      "output_weight",
      empty_parameter({model_.hidden_size, model_.num_attention_heads * model_.head_dim.value()},
                      memory_));
  if (model_.qk_norm) {
    const auto make = [this] {
      return RMSNorm(model_.head_dim.value(), model_.rms_norm_eps, memory_);
    };
    query_norm = register_module("query_norm", make());
    key_norm = register_module("key_norm", make());
  }
  if (has_sink(model_, kind_)) {
    sink = register_parameter("sink", empty_parameter({model_.num_attention_heads}, memory_));
  }
}

PackedHeads AttentionImpl::project(const torch::Tensor& x) {
  const auto query_heads = model_.num_attention_heads,
             key_heads = model_.num_key_value_heads.value();
  const PackedHeads packed = {
      linear_projection(x, qkv_weight)
          .unflatten(-1, {query_heads + 2 * key_heads, model_.head_dim.value()}),
      query_heads};
  if (!model_.qk_norm) return packed;
  return {torch::cat({query_norm->forward(packed.q()), key_norm->forward(packed.k()), packed.v()},
                     /*dim=*/2),
          query_heads};
}

torch::Tensor AttentionImpl::attend(const PackedHeads& packed, const SequenceContext& context,
                                    AttentionResult* saved) const {
  return kind_ == LayerKind::global
             ? global_attention(packed, context.global, context.documents, saved)
             : local_attention(packed, context.window, context.local, context.documents, saved,
                               sink);
}

torch::Tensor AttentionImpl::output(const torch::Tensor& attended) const {
  return linear_projection(attended.flatten(2), output_weight);
}

torch::Tensor AttentionImpl::forward(const torch::Tensor& x, const SequenceContext& context,
                                     AttentionResult* saved) {
  return output(attend(project(x), context, saved));
}

torch::Tensor AttentionImpl::forward_cached(const torch::Tensor& x, const SequenceContext& context,
                                            KeyValueCache& cache) {
  const bool is_prompt = cache.empty();
  TORCH_CHECK(is_prompt || x.size(1) == 1, "a filled cache takes one token at a time, got ",
              x.size(1));
  const auto packed = project(x);
  cache.append(apply_rotary(packed.k(), context.rotary(kind_)), packed.v());
  if (is_prompt) return output(attend(packed, context));
  const auto q = apply_rotary(packed.q(), context.rotary(kind_));
  return output(cached_attention(q, cache.keys(), cache.values(), sink));
}

}  // namespace zebra
