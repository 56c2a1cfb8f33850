#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/config.h"

namespace zebra {

/// A model and the name under which its costs are listed.
struct NamedLayout {
  std::string label;
  ModelConfig model;  ///< resolved
};

/// Layouts of the resolved model `shape`, whose own attention_pattern does not matter: "full"
/// (every layer global), "local" (every layer local), "mix:L" (layer i, from 0, is global when i %
/// L == 0), or letters as in model.attention_pattern, repeated over the layers. `problems` hears of
/// names that are none of these or come twice, and of a layer that is local where `has_window` is
/// false: nobody has said how many tokens it sees.
std::vector<NamedLayout> named_layouts(const std::vector<std::string>& names,
                                       const ModelConfig& shape, bool has_window,
                                       Problems& problems);

/// Sequence lengths in tokens, ascending. `problems` hears of what is no whole number of at least
/// one token, or comes twice.
std::vector<std::int64_t> sequence_lengths(const std::vector<std::string>& texts,
                                           Problems& problems);

}  // namespace zebra
