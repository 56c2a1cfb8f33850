#pragma once

#include <cstdint>
#include <optional>

#include "base/json_reader.h"
#include "config/config.h"

namespace zebra {

/// Beyond the length in tokens of any model, and small enough that no product of sizes overflows.
inline constexpr std::int64_t kLongest = std::int64_t{1} << 40;

/// What an architecture of transformers supposes about its rotary embedding.
struct RopeConventions {
  std::optional<double> default_theta = {};  ///< where none is given; nothing: it must be given
  bool must_be_given = false;                ///< the default is a scaling that Zebra does not have
  bool is_zebra = false;  ///< our own architecture: scaling may be for global layers only, and
                          ///< dynamic scaling has an original length of its own
};

struct HuggingFaceRope {
  double theta = 0.0;
  RopeScalingSection scaling;
};

/// Reads the rotary embedding of a config.json in both spellings of transformers: `rope_theta` and
/// `rope_scaling` (before version 5), and `rope_parameters`. Where both are there they must agree.
/// `max_position_embeddings` is what transformers takes for the original length of dynamic scaling,
/// and of YaRN where none is given. Adds problems to those of `fields`; its result is then not to
/// be used.
HuggingFaceRope read_huggingface_rope(JsonFields& fields, const RopeConventions& conventions,
                                      std::int64_t max_position_embeddings);

}  // namespace zebra
