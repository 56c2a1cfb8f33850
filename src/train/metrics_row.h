#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace zebra {

/// A row of metrics.jsonl: its step is a whole number, and no figure is text. Null for a line that
/// is none, and why in `fault`.
nlohmann::json parse_metrics_row(std::string_view line, std::string* fault = nullptr);

}  // namespace zebra
