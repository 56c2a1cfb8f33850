#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

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
  constexpr InitialWeights(double a_mean, double a_deviation)
      : mean(a_mean), deviation(a_deviation) {}

  double mean, deviation;
};

/// One parameter of a module and what the rest of the program must know about it.
struct Parameter {
  torch::Tensor tensor;            ///< shares storage and identity with the module's parameter
  std::vector<NamedTensor> parts;  ///< in memory order; their sizes add up to the tensor's
  InitialWeights initial;

  /// Weight decay is for matrices and embeddings, not for norms and attention sinks.
  bool decayed() const { return initial.deviation != 0.0; }
};

/// The parameters that are sharded, gathered and reduced together: the embedding, a block, the
/// head.
struct ParameterUnit {
  std::string name;
  std::vector<Parameter> parameters;
};

/// Whether a module's parameters have memory of their own. Placeholders have their shape and one
/// element of memory: sharding gives them memory, piece by piece, so that no process ever holds the
/// whole model.
enum class ParameterMemory { allocated, placeholder };

/// An uninitialised float32 parameter.
torch::Tensor empty_parameter(at::IntArrayRef shape, ParameterMemory memory);

inline constexpr InitialWeights kOnes = {1.0, 0.0};
inline constexpr InitialWeights kZeros = {0.0, 0.0};

/// Fills the weights. Each element is a function of (seed, part's name, index in the part) alone:
/// it does not depend on how parts are packed, nor on threads, ranks or devices.
void initialize_weights(const ParameterUnit& unit, std::int64_t seed);

/// Initial values of elements [begin, begin + out.numel()) of a part (float32, or rounded to the
/// type of `out`, 1-D).
void fill_initial_weights(const NamedTensor& part, InitialWeights initial, std::int64_t seed,
                          std::int64_t begin, const torch::Tensor& out);

}  // namespace zebra
