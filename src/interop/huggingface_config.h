#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/config.h"

namespace zebra {

/// What a config.json says: the model, and the tokens that begin and end its documents.
struct HuggingFaceConfig {
  std::string model_type;
  ModelSection model;  ///< attention_pattern has one letter per layer, every size is there
  std::optional<std::int64_t> bos_token_id;
  std::vector<std::int64_t> eos_token_ids;  ///< empty: not given
  std::vector<std::string> passed_keys;     ///< unknown ones that are null or false
};

/// What stands for the sinks of layers that have none where an architecture wants some in every
/// layer: beside any score it is nothing, to the last bit of float32. (A sink above half of it is a
/// real one.)
inline constexpr double kIdleSink = -1e4;

/// The text of a JSON file that others wrote, without white space in front of it.
inline std::string without_leading_space(const std::string& text) {
  return text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

/// Reads the text of a config.json of an architecture that Zebra knows
/// (huggingface_architecture.h). Absent keys take the values that transformers 5.24 gives them,
/// except sizes, which must be there. Keys that would change the mathematics are accepted only
/// where they are neutral; those known to be bookkeeping are ignored; unknown ones pass where they
/// are null or false; any other is a problem, as is a key that is there twice. `ignored_keys`
/// ("KEY", or "OUTER.KEY" inside a map) are read as if they were not there, and must be there.
/// Every problem is added to `problems`, as "ORIGIN: KEY: WHAT"; then there is no result.
std::optional<HuggingFaceConfig> read_huggingface_config(
    const std::string& text, const std::string& origin, Problems& problems,
    const std::vector<std::string>& ignored_keys = {});

}  // namespace zebra
