#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/text.h"
#include "config/names.h"
#include "train/step_measurement.h"

namespace zebra {
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

std::string row(const std::string& name, const std::string& value, const std::string& note = "") {
  return figure_line(28, name, value, note);
}

std::string milliseconds(double seconds) { return fixed(1e3 * seconds, 1) + " ms"; }
std::string percent(double share) { return fixed(100.0 * share, 1) + " %"; }

// The longest first.
std::vector<std::pair<std::string, double>> sorted_parts(const StepMeasurement& m) {
  std::vector<std::pair<std::string, double>> parts(m.part_seconds.begin(), m.part_seconds.end());
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return parts;
}

}  // namespace

std::string step_text(const StepMeasurement& m) {
  const auto [least, most] = std::minmax_element(m.step_seconds.begin(), m.step_seconds.end());
  std::string text = m.device + ": " + m.machine + ", " + std::to_string(m.threads) + " threads, " +
                     name_of(m.precision) +
                     (m.ranks > 1 ? ", " + std::to_string(m.ranks) + " ranks" : "") + "\n";
  text += "\nA step of " + with_commas(m.tokens_per_step) + " tokens\n";
  text += row("time", milliseconds(m.median_step_seconds()),
              "median of " + std::to_string(m.step_seconds.size()) + ", " + milliseconds(*least) +
                  " to " + milliseconds(*most));
  text += row("tokens per second", with_suffix(m.tokens_per_second()));
  text += row("products' ceiling", with_suffix(m.product_ceiling) + "FLOP/s",
              "large matrix products on this machine, now");
  text += row("of the ceiling (MFU)", percent(m.mfu()),
              "by the FLOPs of the model, every sequence one document");
  text += row("peak memory",
              m.peak_bytes ? fixed(static_cast<double>(*m.peak_bytes) / kGiB, 2) + " GiB" : "-");
  text += "\nWhere the time goes";
  text += m.device == "cuda" ? ", each part alone on the device\n" : "\n";
  double total = 0.0;
  for (const auto& [part, seconds] : m.part_seconds) total += seconds;
  for (const auto& [part, seconds] : sorted_parts(m)) {
    text += row(part, milliseconds(seconds), percent(seconds / total));
  }
  text += "\nBeside the steps\n";
  text += row("a whole checkpoint", milliseconds(m.checkpoint_seconds));
  return text + row("loader alone", with_suffix(m.loaded_tokens_per_second) + " tok/s",
                    fixed(m.loaded_tokens_per_second / m.tokens_per_second(), 0) +
                        " times what the steps read");
}

nlohmann::ordered_json step_json(const StepMeasurement& m) {
  nlohmann::ordered_json json = {{"device", m.device},
                                 {"machine", m.machine},
                                 {"threads", m.threads},
                                 {"ranks", m.ranks},
                                 {"precision", name_of(m.precision)},
                                 {"tokens_per_step", m.tokens_per_step},
                                 {"step_seconds", m.step_seconds},
                                 {"tokens_per_second", m.tokens_per_second()},
                                 {"training_flops_per_token", m.training_flops_per_token},
                                 {"product_ceiling", m.product_ceiling},
                                 {"mfu", m.mfu()},
                                 {"part_seconds", m.part_seconds},
                                 {"checkpoint_seconds", m.checkpoint_seconds},
                                 {"loaded_tokens_per_second", m.loaded_tokens_per_second}};
  if (m.peak_bytes) json["peak_bytes"] = *m.peak_bytes;
  return json;
}

}  // namespace zebra
