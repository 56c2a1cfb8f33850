// What layouts cost by length, as tables and as JSON.

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <vector>

#include "base/text.h"
#include "bench/cost_by_length.h"
#include "config/names.h"
#include "plan/model_cost.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;
using Cells = std::vector<std::string>;

// Three significant digits.
std::string figure(double value) {
  const double digits = value > 0 ? std::floor(std::log10(value)) : 0.0;
  return fixed(value, static_cast<int>(std::clamp(2.0 - digits, 0.0, 6.0)));
}

std::string gib(const std::optional<PeakBytes>& peak, std::int64_t PeakBytes::*part) {
  return peak ? fixed(static_cast<double>(*peak.*part) / kBytesPerGiB, 2) : "-";
}

// `seconds_of` this row in shares of the row's at the same length whose layers are all global.
std::string share_of_full(const CostMeasurement& measurement, const CostRow& row,
                          const std::function<double(const CellSeconds&)>& seconds_of) {
  for (const auto& full : measurement.rows) {
    if (full.work.length == row.work.length && full.pattern.find('L') == std::string::npos)
      return fixed(seconds_of(row.measured) / seconds_of(full.measured), 2);
  }
  return "-";
}

std::string ratio(double measured, double predicted) { return fixed(measured / predicted, 2); }

// The header, and a row for each cell behind its layout and length.
std::string table_of(const CostMeasurement& measurement, const Cells& header,
                     const std::function<Cells(const CostRow&)>& cells_of) {
  std::vector<Cells> table = {header};
  for (const auto& row : measurement.rows) {
    const auto cells = cells_of(row);
    table.push_back({row.label, std::to_string(row.work.length)});
    table.back().insert(table.back().end(), cells.begin(), cells.end());
  }
  return text_table(table, "lr");
}

std::string training_table(const CostMeasurement& measurement) {
  const Cells header = {"layout", "length",    "batch", "forward s", "backward s", "optimizer s",
                        "step s", "predicted", "ratio", "of full",   "tokens/s",   "GiB"};
  const auto step = [](const CellSeconds& seconds) { return seconds.training(); };
  return "Training: one step\n" + table_of(measurement, header, [&](const CostRow& row) -> Cells {
           const auto& [measured, predicted] = std::tie(row.measured, row.predicted);
           return {std::to_string(row.work.batch),
                   figure(measured.forward),
                   figure(measured.backward),
                   figure(measured.optimizer),
                   figure(step(measured)),
                   figure(step(predicted)),
                   ratio(step(measured), step(predicted)),
                   share_of_full(measurement, row, step),
                   figure(row.tokens_per_second()),
                   gib(row.peak, &PeakBytes::training)};
         });
}

std::string generation_table(const CostMeasurement& measurement) {
  const Cells header = {"layout",   "length",    "prompt s", "predicted", "ratio", "of full",
                        "token ms", "predicted", "ratio",    "of full",   "GiB"};
  return "Generation: one sequence, the prompt and each token behind it\n" +
         table_of(measurement, header, [&](const CostRow& row) {
           Cells cells;
           for (const auto& [seconds, unit] :
                {std::pair(&CellSeconds::prefill, 1.0), std::pair(&CellSeconds::per_token, 1e3)}) {
             const double measured = row.measured.*seconds, predicted = row.predicted.*seconds;
             cells.insert(cells.end(), {figure(unit * measured), figure(unit * predicted),
                                        ratio(measured, predicted),
                                        share_of_full(measurement, row, std::mem_fn(seconds))});
           }
           cells.push_back(gib(row.peak, &PeakBytes::generation));
           return cells;
         });
}

Json rates_json(const Rates& rates) {
  Json json;
  const auto add = [&](const std::string& name, const FlopRates& rate) {
    if (rate.forward > 0) json[name] = rate.forward;
    if (rate.backward > 0) json[name + "_backward"] = rate.backward;
  };
  add("matrix_products", rates.matrix_products);
  add("global_attention", rates.global_attention);
  add("local_attention", rates.local_attention);
  json["head"] = rates.head;
  json["head_backward_seconds_per_token"] = rates.ends_backward;
  json["passes_seconds_per_token_and_layer"] = rates.layer_passes.forward;
  json["passes_seconds_per_token_and_layer_backward"] = rates.layer_passes.backward;
  json["passes_seconds_per_token_and_layer_prefill"] = rates.layer_passes.prefill;
  json["optimizer_seconds_per_parameter"] = rates.optimizer;
  json["weights_read_bytes"] = rates.weights_read;
  json["seconds_per_generated_token_and_layer"] = rates.layer_call;
  json["seconds_per_generated_token"] = rates.token_call;
  json["token_reads"] = Json::array();
  for (std::size_t i = 0; i < rates.cached_keys.size(); ++i) {
    json["token_reads"].push_back(
        {{"keys_per_layer", rates.cached_keys[i]}, {"seconds", rates.token_reads[i]}});
  }
  return json;
}

std::string rates_text(const Rates& rates) {
  const auto flops = [](const std::string& name, const FlopRates& rate) -> Cells {
    return {"  " + name, figure(rate.forward / 1e9), figure(rate.backward / 1e9)};
  };
  std::vector<Cells> table = {{"Rates of the parts alone", "forward", "backward"},
                              flops("matrix products, GFLOP/s", rates.matrix_products)};
  if (rates.global_attention.forward > 0)
    table.push_back(flops("global attention, GFLOP/s", rates.global_attention));
  if (rates.local_attention.forward > 0)
    table.push_back(flops("local attention, GFLOP/s", rates.local_attention));
  table.push_back({"  head and loss, GFLOP/s (both passes in one)", figure(rates.head / 1e9), ""});
  table.push_back({"  other passes, us per token and layer",
                   figure(1e6 * rates.layer_passes.forward),
                   figure(1e6 * rates.layer_passes.backward)});
  table.push_back({"  AdamW, ns per parameter", "", figure(1e9 * rates.optimizer)});
  table.push_back({"  weights read while generating, GB/s", figure(rates.weights_read / 1e9), ""});
  return text_table(table, "lr");
}

Json seconds_json(const CellSeconds& seconds) {
  return {{"forward", seconds.forward},
          {"backward", seconds.backward},
          {"optimizer", seconds.optimizer},
          {"prefill", seconds.prefill},
          {"per_token", seconds.per_token}};
}

Json row_json(const CostRow& row) {
  const auto gib_of = [&](std::int64_t PeakBytes::*part) {
    return row.peak ? Json(static_cast<double>(*row.peak.*part) / kBytesPerGiB) : Json(nullptr);
  };
  return {{"layout", row.label},
          {"pattern", row.pattern},
          {"length", row.work.length},
          {"batch", row.work.batch},
          {"seconds", seconds_json(row.measured)},
          {"predicted_seconds", seconds_json(row.predicted)},
          {"tokens_per_second", row.tokens_per_second()},
          {"peak_memory_gib", gib_of(&PeakBytes::training)},
          {"generation_memory_gib", gib_of(&PeakBytes::generation)}};
}

Json model_json(const ModelConfig& shape) {
  Json json = {{"hidden_size", shape.hidden_size},
               {"intermediate_size", shape.intermediate_size},
               {"num_hidden_layers", shape.num_hidden_layers()},
               {"num_attention_heads", shape.num_attention_heads},
               {"num_key_value_heads", shape.num_key_value_heads},
               {"head_dim", shape.head_dim},
               {"vocab_size", shape.vocab_size},
               {"tie_word_embeddings", shape.tie_word_embeddings},
               {"parameters", count_parameters(shape).total()}};
  if (shape.window_size != 0 || shape.has(LayerKind::local))
    json["window_size"] = shape.window_size;
  return json;
}

}  // namespace

std::string to_text(const CostMeasurement& measurement) {
  const auto threads = measurement.device == "cpu"
                           ? ", " + std::to_string(measurement.threads) +
                                 (measurement.threads == 1 ? " thread" : " threads")
                           : "";
  return measurement.device + ": " + measurement.machine + threads + ", " +
         name_of(measurement.precision) + "\n\n" + rates_text(measurement.rates.front()) + "\n" +
         training_table(measurement) + "\n" + generation_table(measurement) +
         "\nratio: measured / predicted from FLOPs, bytes and the rates above. of full: share of "
         "the time with all layers global.\n";
}

nlohmann::ordered_json to_json(const CostMeasurement& measurement, const ModelConfig& shape) {
  Json rows = Json::array();
  for (const auto& row : measurement.rows) rows.push_back(row_json(row));
  return {{"device", measurement.device},
          {"machine", measurement.machine},
          {"threads", measurement.threads},
          {"precision", name_of(measurement.precision)},
          {"model", model_json(shape)},
          {"rates", rates_json(measurement.rates.front())},
          {"rows", rows}};
}

}  // namespace zebra
