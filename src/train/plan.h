#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "config/config.h"

namespace zebra {

/// What a run will cost before it is paid for: layers, parameters, FLOPs per token by part, bytes
/// by part, checkpoint size, tokens and steps. `config` has model.vocab_size. Closed forms:
/// model/cost.h.
nlohmann::ordered_json plan_json(const Config& config);

/// The same as tables for people.
std::string plan_text(const Config& config);

}  // namespace zebra
