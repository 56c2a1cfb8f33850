#include "model/attention.h"

#include <algorithm>
#include <vector>

#include "ops/linear.h"

namespace zebra {

void KeyValueCache::append(const torch::Tensor& k, const torch::Tensor& v) {
  const torch::NoGradGuard no_grad;
  reserve(std::min(tokens_seen_ + k.size(1), capacity_), k, v);
  const auto count = std::min(k.size(1), capacity_);
  auto source = k.size(1) - count;
  auto slot = (tokens_seen_ + source) % capacity_;
  for (auto left = count; left > 0;) {
    const auto run = std::min(left, capacity_ - slot);
    keys_.narrow(1, slot, run).copy_(k.narrow(1, source, run));
    values_.narrow(1, slot, run).copy_(v.narrow(1, source, run));
    source += run;
    left -= run;
    slot = 0;
  }
  tokens_seen_ += k.size(1);
}

void KeyValueCache::reserve(std::int64_t tokens, const torch::Tensor& k, const torch::Tensor& v) {
  const auto held = keys_.defined() ? keys_.size(1) : 0;
  if (tokens <= held) return;
  constexpr std::int64_t kSpareTokens = 1024;  // so that short texts never move
  const auto slots = std::min(capacity_, std::max(2 * held, tokens + kSpareTokens));
  const auto grown = [&](const torch::Tensor& old, const torch::Tensor& like) {
    auto larger = torch::empty({like.size(0), slots, like.size(2), like.size(3)}, like.options());
    if (held > 0) larger.narrow(1, 0, held).copy_(old);
    return larger;
  };
  keys_ = grown(keys_, k);
  values_ = grown(values_, v);
}

AttentionImpl::AttentionImpl(const ModelConfig& model, LayerKind kind, ParameterMemory memory)
    : model_(model), kind_(kind), memory_(memory) {
  reset();
}

void AttentionImpl::reset() {
  const auto list = block_parameters(model_, kind_);
  const auto parameter = [&](const char* path) {
    return register_listed(*this, path, list, memory_);
  };
  const auto norm = [&](const char* name) {
    const auto made = listed_norm("attention." + std::string(name) + ".weight", list,
                                  model_.rms_norm_eps, memory_);
    return made.is_empty() ? made : register_module(name, made);
  };
  qkv_weight = parameter("attention.qkv_weight");
  output_weight = parameter("attention.output_weight");
  query_norm = norm("query_norm");
  key_norm = norm("key_norm");
  sink = parameter("attention.sink");
}

PackedHeads AttentionImpl::project(const torch::Tensor& x) {
  const auto query_heads = model_.num_attention_heads, key_heads = model_.num_key_value_heads;
  const PackedHeads packed = {linear_projection(x, qkv_weight)
                                  .unflatten(-1, {query_heads + 2 * key_heads, model_.head_dim}),
                              query_heads};
  if (query_norm.is_empty()) return packed;
  const auto normed = [&](RMSNorm& norm, const torch::Tensor& heads) {
    if (model_.qk_norm == QkNorm::head) return norm->forward(heads);
    return norm->forward(heads.flatten(2)).reshape(heads.sizes());
  };
  return {torch::cat({normed(query_norm, packed.q()), normed(key_norm, packed.k()), packed.v()},
                     /*dim=*/2),
          query_heads};
}

torch::Tensor AttentionImpl::attend(const PackedHeads& packed, const SequenceContext& context,
                                    SavedAttention* saved) const {
  if (context.chunks) {
    return context_attention(packed_rotary(packed, context.rotary(kind_)),
                             kind_ == LayerKind::local, *context.chunks, saved, sink);
  }
  auto* const whole = saved != nullptr ? &saved->whole : nullptr;
  return kind_ == LayerKind::global
             ? global_attention(packed, context.global, context.documents, whole, sink)
             : local_attention(packed, context.window, context.local, context.documents, whole,
                               sink);
}

torch::Tensor AttentionImpl::output(const torch::Tensor& attended) const {
  return linear_projection(attended.flatten(2), output_weight);
}

torch::Tensor AttentionImpl::forward(const torch::Tensor& x, const SequenceContext& context,
                                     SavedAttention* saved) {
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

torch::Tensor AttentionImpl::forward_cached(const torch::Tensor& x, const SequenceContext& context,
                                            std::span<KeyValueCache* const> caches) {
  const auto packed = project(x);
  const auto& rotary = context.rotary(kind_);
  const auto q = apply_rotary(packed.q(), rotary), k = apply_rotary(packed.k(), rotary);
  const auto v = packed.v();
  std::vector<torch::Tensor> attended;
  for (std::int64_t row = 0; row < x.size(0); ++row) {
    auto* const cache = caches[static_cast<std::size_t>(row)];
    const auto of_row = q.narrow(0, row, 1);
    if (cache == nullptr) {
      attended.push_back(torch::zeros_like(of_row));
      continue;
    }
    cache->append(k.narrow(0, row, 1), v.narrow(0, row, 1));
    attended.push_back(cached_attention(of_row, cache->keys(), cache->values(), sink));
  }
  return output(torch::cat(attended));
}

}  // namespace zebra
