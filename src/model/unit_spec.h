#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"

// The one list of a model's parameters. Modules, checkpoint names, flat buffers, counts, sharded
// sizes and plans follow from it. Free of LibTorch.

namespace zebra {

/// One tensor as checkpoints and exports name it (HuggingFace's Llama names). A packed projection
/// holds several, one behind the other in memory.
struct NamedTensor {
  std::string name;
  std::vector<std::int64_t> shape;

  std::int64_t numel() const;
};

/// Weights start as independent normal numbers; without deviation as one number.
struct InitialWeights {
  double mean, deviation;
};

inline constexpr InitialWeights kOnes = {1.0, 0.0};
inline constexpr InitialWeights kZeros = {0.0, 0.0};

/// To what a parameter is counted.
enum class ParameterRole { embedding, attention, feed_forward, norm, head };

/// One parameter of a module.
struct ParameterSpec {
  std::string path;  ///< in its module, as named_parameters() spells it: "attention.qkv_weight"
  ParameterRole role;
  InitialWeights initial;
  std::vector<NamedTensor> parts;  ///< in memory order: rows of the parameter

  /// Of the whole parameter: that of its parts, with all of their rows.
  std::vector<std::int64_t> shape() const;
  std::int64_t numel() const;
  /// Weight decay is for matrices and embeddings, not for norms and attention sinks.
  bool decayed() const { return initial.deviation != 0.0; }
  /// A matrix inside a block: what Muon updates.
  bool is_hidden_matrix() const {
    return parts.front().shape.size() == 2 &&
           (role == ParameterRole::attention || role == ParameterRole::feed_forward);
  }
};

/// The parameters that are sharded, gathered and reduced together: the embedding, a block, the
/// head.
struct UnitSpec {
  std::string name;
  std::vector<ParameterSpec> parameters;
};

/// The parameters of a block of that kind, paths within the block, part names within the layer
/// ("self_attn.q_proj.weight"). The names are those of HuggingFace's Llama; of reordered norms, of
/// its OLMo 3, in which "post_attention_layernorm" is the norm of what attention gives.
std::vector<ParameterSpec> block_parameters(const ModelConfig& model, LayerKind kind);

/// A block as a module of its own, with checkpoint names ("model.layers.3.…").
UnitSpec block_spec(const ModelConfig& model, std::int64_t layer);

/// All parameters in the order of the forward pass, paths within the model: embedding (with norm
/// and head when tied), blocks, norm and head.
std::vector<UnitSpec> unit_specs(const ModelConfig& model);

/// Where the parameters of a unit lie in one flat buffer. Decayed parameters come first, norms
/// last, so that the optimizer makes one call for each; every parameter starts at a multiple of 64
/// elements (128 bytes of bf16: a whole vector register and cache line), and the size is a multiple
/// of 64 x ranks, so that every rank's shard starts at one too.
struct FlatOffsets {
  std::vector<std::size_t> order;    ///< parameter i of the buffer is order[i] of the unit
  std::vector<std::int64_t> begins;  ///< of parameter i of the buffer
  std::int64_t size = 0, decayed_size = 0;
};

FlatOffsets flat_offsets(const UnitSpec& unit, std::int64_t ranks);

}  // namespace zebra
