#pragma once

#include <cstdint>

#include "config/config.h"

// What it costs N ranks to share each sequence (parallel.context), in closed form; the exchange is
// that of ops/context_attention.h.
//
// T tokens of a sequence in 2 N chunks of c, B sequences in a micro-batch, W the window, kv the
// bytes of a token's keys and values in one layer (2 Hkv D values of the model's type). Bytes that
// the rank which sends most sends for one layer:
//
//                local: m messages, min(2, N - 1)     global
//   forward      m B W kv                             keys: (N - 1) 2 c B kv
//   backward     m B W kv, gradients of keys          keys again, gradients: twice as much
//
// A block that is computed again, but with `selective`, makes its forward exchange once more.
// Nothing here depends on T in a local layer, or falls with N in a global one.

namespace zebra {

/// Bytes that a rank sends for one layer in a micro-batch.
struct LayerExchange {
  double forward = 0, backward = 0;

  double total() const { return forward + backward; }
};

/// All zero where ranks share nothing.
LayerExchange context_exchange(const Config& config, LayerKind kind);

/// Bytes that a rank sends in a micro-batch, by kind of layer, with what is computed again.
struct ContextTraffic {
  double local_layers = 0, global_layers = 0;
  double gathered_everywhere = 0;  ///< if local layers gathered all keys as global ones do

  double total() const { return local_layers + global_layers; }
};
ContextTraffic context_traffic(const Config& config);

/// Tokens of a micro-batch that one rank holds.
std::int64_t tokens_per_rank(const Config& config);

/// Bytes that a global layer takes at most while it is at work, beside what it keeps: the gathered
/// keys and values, those up to the end of a chunk in order, and in the backward the gradients of
/// both. 0 where ranks share nothing, or all layers are local.
std::int64_t gathered_bytes(const Config& config);

}  // namespace zebra
