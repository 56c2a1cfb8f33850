#include "bench/cost_model.h"

#include <algorithm>

#include "plan/model_cost.h"

namespace zebra {
namespace {

// Forward FLOPs of the products of all layers, per token.
double product_flops(const ForwardFlops& flops) { return flops.projections + flops.feed_forward; }

// Forward FLOPs of one layer's attention, per token.
double attention_flops(const ModelConfig& model, LayerKind kind, std::int64_t length) {
  return 4.0 * static_cast<double>(model.query_width()) *
         mean_visible_keys(kind, model.window_size, length);
}

FlopRates flop_rates(double forward_flops, const PassSeconds& seconds) {
  const auto rate = [](double flops, double of) { return of > 0 ? flops / of : 0.0; };
  return {rate(forward_flops, seconds.forward), rate(2.0 * forward_flops, seconds.backward)};
}

// No time where there is nothing to do, whether or not a rate is known.
double seconds_for(double amount, double rate) { return amount > 0 ? amount / rate : 0.0; }

// What a whole takes beyond its parts; noise can make that less than nothing.
double beyond(double whole, double parts) { return std::max(0.0, whole - parts); }

// Of the matrices that each generated token reads: the embedding is a table of which it reads a
// row.
double generation_weight_bytes(const ModelConfig& model, std::int64_t bytes_per_value) {
  const auto count = count_parameters(model);
  return static_cast<double>(
      (count.attention + count.feed_forward + model.vocab_size * model.hidden_size) *
      bytes_per_value);
}

}  // namespace

std::vector<double*> ReferenceSeconds::figures() {
  std::vector<double*> all = {&block_prefill,     &optimizer_update, &layer_token,
                              &layer_token_reads, &ends_token,       &ends_token_head};
  for (auto* passes : {&layer_products, &global_attention, &local_attention, &block, &ends})
    all.insert(all.end(), {&passes->forward, &passes->backward});
  for (auto& seconds : token_reads) all.push_back(&seconds);
  return all;
}

Rates rates_of(const ReferenceWork& work, const ReferenceSeconds& seconds) {
  const auto& shape = work.shape;
  const auto tokens = static_cast<double>(work.length * work.batch);
  const auto flops = forward_flops_per_token(shape, work.length);
  const auto layers = static_cast<double>(shape.num_hidden_layers());
  const auto kind = shape.layers.front();
  const auto& attention =
      kind == LayerKind::global ? seconds.global_attention : seconds.local_attention;
  const auto of_attention = [&](LayerKind of, const PassSeconds& of_kind) {
    return flop_rates(tokens * attention_flops(shape, of, work.length), of_kind);
  };

  Rates rates;
  rates.matrix_products =
      flop_rates(tokens * product_flops(flops) / layers, seconds.layer_products);
  rates.global_attention = of_attention(LayerKind::global, seconds.global_attention);
  rates.local_attention = of_attention(LayerKind::local, seconds.local_attention);
  rates.head = tokens * 3.0 * flops.head / seconds.ends.forward;
  rates.ends_backward = seconds.ends.backward / tokens;
  const double inner_forward = seconds.layer_products.forward + attention.forward;
  rates.layer_passes = {
      beyond(seconds.block.forward, inner_forward) / tokens,
      beyond(seconds.block.backward, seconds.layer_products.backward + attention.backward) / tokens,
      beyond(seconds.block_prefill, inner_forward) / tokens};
  rates.optimizer = seconds.optimizer_update / static_cast<double>(kOptimizerReference);
  rates.weights_read =
      generation_weight_bytes(shape, work.bytes_per_value) / seconds.token_reads.front();
  rates.layer_call = beyond(seconds.layer_token, seconds.layer_token_reads);
  rates.token_call = beyond(seconds.ends_token, seconds.ends_token_head);
  rates.cached_keys = work.cached_keys;
  rates.token_reads = seconds.token_reads;
  return rates;
}

double token_read_seconds(const Rates& rates, std::int64_t keys) {
  const auto& at = rates.cached_keys;
  const auto& seconds = rates.token_reads;
  if (at.size() < 2) return seconds.front();
  // The piece that holds `keys`; beyond the ends the nearest piece goes on.
  const auto above = std::upper_bound(at.begin() + 1, at.end() - 1, keys);
  const auto i = static_cast<std::size_t>(above - at.begin());
  const auto share = static_cast<double>(keys - at[i - 1]) / static_cast<double>(at[i] - at[i - 1]);
  return seconds[i - 1] + share * (seconds[i] - seconds[i - 1]);
}

CellSeconds predicted_seconds(const ModelConfig& model, const Workload& work, const Rates& rates) {
  const auto flops = forward_flops_per_token(model, work.length);
  const auto length = static_cast<double>(work.length);
  const auto tokens = length * static_cast<double>(work.batch);
  const auto layers = static_cast<double>(model.num_hidden_layers());

  const double layers_forward =
      seconds_for(product_flops(flops), rates.matrix_products.forward) +
      seconds_for(flops.global_attention, rates.global_attention.forward) +
      seconds_for(flops.local_attention, rates.local_attention.forward);
  const double layers_backward =
      2.0 * (seconds_for(product_flops(flops), rates.matrix_products.backward) +
             seconds_for(flops.global_attention, rates.global_attention.backward) +
             seconds_for(flops.local_attention, rates.local_attention.backward));

  CellSeconds seconds;
  seconds.forward = tokens * (layers_forward + layers * rates.layer_passes.forward +
                              seconds_for(3.0 * flops.head, rates.head));
  seconds.backward =
      tokens * (layers_backward + layers * rates.layer_passes.backward + rates.ends_backward);
  seconds.optimizer = rates.optimizer * static_cast<double>(count_parameters(model).total());
  seconds.prefill = length * (layers_forward + layers * rates.layer_passes.prefill);

  // Each layer's share of what is read. Generated tokens are cached too: on average half of them.
  seconds.per_token = layers * rates.layer_call + rates.token_call;
  const auto seen = work.length + work.generated_tokens / 2;
  for (const auto kind : model.layers) {
    const auto keys = kind == LayerKind::global ? seen : std::min(seen, model.window_size + 1);
    seconds.per_token += token_read_seconds(rates, keys) / layers;
  }
  return seconds;
}

}  // namespace zebra
