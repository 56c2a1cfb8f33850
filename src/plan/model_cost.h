#pragma once

#include <cstdint>

#include "config/config.h"

// What a model costs, in closed form (derivation in docs/model.md). n layers, width d, SwiGLU width
// f, vocabulary V, sequence length N, window W, q = Hq D the width of the queries, kv = Hkv D of
// keys and values. A multiply-add is two FLOPs.

namespace zebra {

struct ParameterCount {
  std::int64_t embedding = 0, attention = 0, feed_forward = 0, norms = 0,
               head = 0;  ///< head is 0 when tied; sinks belong to attention, QK-norms to norms

  std::int64_t total() const { return embedding + attention + feed_forward + norms + head; }
};

/// Bytes of a float32: of master weights, gradients, moments, logits and norms.
inline constexpr std::int64_t kFloatBytes = 4;

/// Training costs as much as so many forward passes: the backward pass counts twice.
inline constexpr double kTrainingPasses = 3.0;

ParameterCount count_parameters(const ModelConfig& model);

/// Mean number of keys that a token of a sequence of N sees: (N + 1) / 2 in a global layer; in a
/// local layer, with k = min(W + 1, N), [k (k + 1) / 2 + (N - k) k] / N.
double mean_visible_keys(LayerKind kind, std::int64_t window, std::int64_t length);

/// Forward FLOPs per token, averaged over a sequence of N tokens.
struct ForwardFlops {
  double projections = 0;       ///< 2 n (2 d q + 2 d kv)
  double feed_forward = 0;      ///< 2 n 3 d f
  double global_attention = 0;  ///< 4 q times the mean number of visible keys, per global layer
  double local_attention = 0;
  double head = 0;  ///< 2 d V

  double total() const {
    return projections + feed_forward + global_attention + local_attention + head;
  }
};

/// With window_size in local layers, as a finished model has it.
ForwardFlops forward_flops_per_token(const ModelConfig& model, std::int64_t length);

/// Of a training, averaged over its first `steps` steps (of none: of a finished model), each with
/// its own window in local layers.
ForwardFlops mean_forward_flops_per_token(const Config& config, std::int64_t steps);
/// Over all of them.
ForwardFlops mean_forward_flops_per_token(const Config& config);

/// Of a value in the key-value caches that plans and sweeps tell of: bfloat16.
inline constexpr std::int64_t kCacheValueBytes = 2;

/// Bytes of the key-value cache after N tokens: 2 kv bytes_per_value (n_global N + n_local min(N, W
/// + 1)).
std::int64_t key_value_cache_bytes(const ModelConfig& model, std::int64_t length,
                                   std::int64_t bytes_per_value);

/// Bytes that a micro-batch's forward pass leaves on its rank for the backward pass: an estimate
/// for bf16 on CUDA, where local layers run our kernels, as do all with sinks, and other global
/// ones FlashAttention (where they run ours too, see docs/kernels.md, they keep q less, and with
/// `selective` kv more). Gradients of
/// activations, the kernels' own workspaces and the chunk of logits come on top.
struct ActivationBytes {
  std::int64_t blocks = 0;   ///< kept by all blocks
  std::int64_t at_work = 0;  ///< on top at the peak: the head's, or those of a block computed again

  std::int64_t total() const { return blocks + at_work; }
};

/// Per token a block keeps, in values of 2 bytes (d, f, q, kv as above):
///   4 d            its input and that of the feed-forward part, before and after the norm, or
///                  both inputs and what either part gives, where the norms are behind the parts
///   q + 2 kv + q   queries, keys, values, and what attention makes of them
///   kv             local layers, and all with sinks: rotated keys
///   q + kv         other global layers: rotated queries and keys
///   q + kv         with QK-norm: queries and keys before it
///   2 f            gate and up; silu(gate) and its product with up are computed again
/// and in float32 one value a norm (QK-norm has one a head, or two) and one a query head. Of a
/// block that is computed again the input alone is kept (d), with `selective` also attention's
/// result (q, a float32 value a head, and in local layers kv). The head keeps 3 d a token, and a
/// float32 gradient of its weights (4 V d). Where ranks share sequences (parallel.context) a rank
/// has its tokens alone, all layers keep rotated keys, and gathered_bytes come on top at the peak.
ActivationBytes activation_bytes(const Config& config);

}  // namespace zebra
