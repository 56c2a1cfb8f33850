#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/unit_spec.h"

namespace zebra {

/// One parameter of a module and what the rest of the program must know about it.
struct Parameter {
  ParameterSpec spec;
  torch::Tensor tensor;  ///< shares storage and identity with the module's parameter
};

/// The parameters of a UnitSpec.
struct ParameterUnit {
  std::string name;
  std::vector<Parameter> parameters;

  UnitSpec spec() const;
};

/// Whether a module's parameters have memory of their own. Placeholders have their shape and one
/// element of memory: sharding gives them memory, piece by piece, so that no process ever holds the
/// whole model.
enum class ParameterMemory { allocated, placeholder };

/// Registers the parameter of that path with its module, under the last name of the path: float32,
/// uninitialized. Undefined, and nothing is registered, where the list has none.
torch::Tensor register_listed(torch::nn::Module& module, const std::string& path,
                              const std::vector<ParameterSpec>& list, ParameterMemory memory);

/// The unit with the module's own parameters.
ParameterUnit bind_parameters(const UnitSpec& unit, const torch::nn::Module& module);

/// Fills the weights. Each element is a function of (seed, part's name, index in the part) alone:
/// it does not depend on how parts are packed, nor on threads, ranks or devices.
void initialize_weights(const ParameterUnit& unit, std::int64_t seed);

/// Initial values of elements [begin, begin + out.numel()) of a part (float32, or rounded to the
/// type of `out`, 1-D).
void fill_initial_weights(const NamedTensor& part, InitialWeights initial, std::int64_t seed,
                          std::int64_t begin, const torch::Tensor& out);

}  // namespace zebra
