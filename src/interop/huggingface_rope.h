#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json_reader.h"
#include "config/config.h"

namespace zebra {

/// Beyond the length in tokens of any model, and small enough that no product of sizes overflows.
inline constexpr std::int64_t kLongest = std::int64_t{1} << 40;

/// What an architecture of transformers supposes about its rotary embedding.
struct RopeConventions {
  std::optional<double> default_theta = {};  ///< where none is given; nothing: it must be given
  /// Where there is no map at all; a theta beside it is then ignored.
  std::optional<RopeScalingSection> default_scaling = {};
  bool is_by_kind = false;  ///< `rope_parameters` has a map for each kind of layer (OLMo 3)
  bool is_zebra = false;    ///< our own architecture: scaling may be for global layers only, and
                            ///< dynamic scaling has an original length of its own
};

struct HuggingFaceRope {
  double theta = 0.0;                      ///< of global layers, or of all
  std::optional<double> local_theta = {};  ///< another one of local layers
  RopeScalingSection scaling = {};
};

/// Reads the rotary embedding of a config.json in both spellings of transformers: `rope_theta` and
/// `rope_scaling` (before version 5), and `rope_parameters`. Where both are there they must agree.
/// `max_position_embeddings` is what transformers takes for the original length of dynamic scaling,
/// and of YaRN and llama3 scaling where none is given. `pattern` has the kinds of layers that there
/// are, G and L: what no layer uses does not matter. Adds problems to those of `fields`; its result
/// is then not to be used.
HuggingFaceRope read_huggingface_rope(JsonFields& fields, const RopeConventions& conventions,
                                      std::int64_t max_position_embeddings,
                                      const std::string& pattern);

}  // namespace zebra
