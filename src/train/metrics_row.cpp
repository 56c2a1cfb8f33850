#include "train/metrics_row.h"

#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/json_reader.h"

namespace zebra {

nlohmann::json parse_metrics_row(std::string_view line, std::string* fault) {
  std::string reason = line.empty() ? "it is empty" : json_object_fault(line);
  if (reason.empty()) {
    auto row = nlohmann::json::parse(line);
    const auto* step = member_of(row, "step");
    if (step == nullptr || !count_of<std::int64_t>(*step)) {
      reason = step == nullptr ? "it has no step"
                               : "its step is " + shown(*step) + ", not a whole number";
    }
    for (const auto& [name, value] : row.items())
      if (reason.empty() && value.is_string()) reason = "its " + name + " is text, not a number";
    if (reason.empty()) return row;
  }
  if (fault != nullptr) *fault = reason;
  return nullptr;
}

}  // namespace zebra
