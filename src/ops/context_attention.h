#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <vector>

#include "ops/attention_inputs.h"
#include "ops/attention_operator.h"
#include "ops/context_exchange.h"

// Attention where several ranks share each sequence (ContextShare). It gives what one rank would,
// to rounding, the same bits every time.
//
// A local layer needs the `window` keys and values before each of its two chunks. They come from
// the ranks that hold the chunk before: two messages, whatever the length; in the backward their
// gradients go back in two. A global layer gathers all keys and values, in the forward and again in
// the backward, which sends each rank the gradients of its own; they are added in the order of the
// ranks, in float32.
//
// To the kernels a chunk is one sequence: the keys before it, up to a multiple of kQueryUnit, then
// its own, the only ones that have queries.

namespace zebra {

/// What all layers of one pass share, for B sequences of 2 c tokens on this rank.
struct ContextChunks {
  ContextExchange* exchange = nullptr;
  std::int64_t window = 0;
  /// Of what the kernels see, the first token of each token's document, int64: of local layers [2
  /// B, keys], both chunks of a sequence one after the other; of global ones [B, keys] by chunk.
  torch::Tensor local_first_token;
  std::array<torch::Tensor, 2> global_first_token;
};

/// `first_token` [B, 2 c]: of this rank's tokens, as PackedDocuments counts; undefined where every
/// sequence is one document. The window must not be longer than a chunk.
ContextChunks make_context_chunks(ContextExchange& exchange, std::int64_t batch,
                                  std::int64_t length, torch::Device device, std::int64_t window,
                                  const torch::Tensor& first_token);

/// What a layer's first run keeps for a second one: see AttentionResult.
struct SavedAttention {
  AttentionResult whole;
  // Where ranks share a sequence:
  torch::Tensor out;  ///< [B, 2 c, Hq, D], of which that of each chunk is a view
  std::vector<AttentionResult> of_chunks;
  torch::Tensor halo;  ///< keys and values that came from the neighbours

  bool is_filled() const { return !of_chunks.empty(); }
};

/// Heads of this rank's tokens, rotated at their places in the whole sequence: [B, 2 c, Hq, D].
/// Differentiable in them and in the sinks.
torch::Tensor context_attention(const RotatedHeads& heads, bool is_local,
                                const ContextChunks& chunks, SavedAttention* saved = nullptr,
                                const torch::Tensor& sink = {});

}  // namespace zebra
