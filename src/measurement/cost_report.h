#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "config/config.h"
#include "measurement/cost_by_length.h"

namespace zebra {

/// Tables for people: the rates, then training and generation with measured and predicted times.
std::string cost_text(const CostMeasurement& measurement);

/// For scripts (`zebra bench --json`), of layouts of one resolved `shape`: device, machine,
/// threads, precision, model, rates (those of the first layout), rows.
nlohmann::ordered_json cost_json(const CostMeasurement& measurement, const ModelConfig& shape);

}  // namespace zebra
