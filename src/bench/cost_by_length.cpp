#include "bench/cost_by_length.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "base/log.h"
#include "base/system.h"
#include "bench/device_meter.h"
#include "bench/timed_model.h"
#include "config/load.h"
#include "model/placement.h"
#include "plan/model_cost.h"

namespace zebra {
namespace {

// Nothing for a text that is no whole number of at least 1.
std::optional<std::int64_t> positive_number(const std::string& text) {
  std::int64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < 1) return std::nullopt;
  return value;
}

std::string repeated(const std::string& period, std::size_t layers) {
  std::string pattern;
  while (pattern.size() < layers) pattern += period;
  return pattern.substr(0, layers);
}

// One letter per layer; empty, with a problem, for a name that is no layout.
std::string pattern_named(const std::string& name, std::size_t layers, Problems& problems) {
  const std::string where = "--layouts: \"" + name + "\" ";
  if (name == "full") return repeated("G", layers);
  if (name == "local") return repeated("L", layers);
  if (name.starts_with("mix:")) {
    const auto group = positive_number(name.substr(4));
    if (!group) {
      problems.add(where + "has no whole number of layers behind mix: (of which the first is " +
                   "global); give, for example, mix:4");
      return {};
    }
    std::string pattern = repeated("L", layers);
    for (std::size_t i = 0; i < layers; i += static_cast<std::size_t>(*group)) pattern[i] = 'G';
    return pattern;
  }
  if (name.empty() || name.find_first_not_of("GL") != std::string::npos) {
    problems.add(where + "is no layout; give full, local, mix:L or a pattern such as GLLL");
    return {};
  }
  if (name.size() > layers) {
    problems.add(where + "has " + std::to_string(name.size()) + " letters for the model's " +
                 std::to_string(layers) +
                 " layers; give one for each layer, or fewer to repeat them");
    return {};
  }
  return repeated(name, layers);
}

constexpr std::int64_t kReferenceLength = 4096;

bool same_but_pattern(const ModelConfig& a, ModelConfig b) {
  if (a.num_hidden_layers() != b.num_hidden_layers()) return false;
  b.layers = a.layers;
  return a == b;
}

/// Layouts that differ in their patterns only, and so have the same rates.
struct Shape {
  ReferenceWork work;
  std::vector<std::size_t> layouts;
  std::vector<ReferenceSeconds> samples;
};

/// One layout at one length.
struct Cell {
  Workload work;
  std::vector<CellSeconds> samples;
  std::optional<PeakBytes> peak;
  double warm_up = 0;
};

std::int64_t weight_bytes(const ModelConfig& model, std::int64_t bytes_per_value) {
  return count_parameters(model).total() * bytes_per_value;
}

class CostSweep {
 public:
  CostSweep(const std::vector<NamedLayout>& layouts, const std::vector<std::int64_t>& lengths,
            const CostOptions& options)
      : layouts_(layouts),
        options_(options),
        meter_(resolve_device(options.device)),
        bytes_per_value_(
            static_cast<std::int64_t>(c10::elementSize(weight_type(options.precision)))),
        cells_(layouts.size()),
        progress_("measuring", 0, "FLOP") {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < layouts.size(); ++i) {
      for (const auto length : lengths) {
        const auto batch = std::max<std::int64_t>(1, options.tokens / length);
        cells_[i].push_back({{length, batch, options.generated_tokens, bytes_per_value_}, {}, {}});
        total += static_cast<std::uint64_t>(options.repeats + 1) * flops(i, cells_[i].back());
      }
      add_to_shape(i, lengths);
    }
    progress_ = ProgressBar("measuring", total, "FLOP");
  }

  CostMeasurement run() {
    for (int round = 0; round <= options_.repeats; ++round) {
      for (auto& shape : shapes_) {
        shape.samples.push_back(
            time_reference(shape.work, options_.precision, options_.optimizer, meter_));
      }
      for (std::size_t turn = 0; turn < layouts_.size(); ++turn) {
        measure_layout((turn + static_cast<std::size_t>(round)) % layouts_.size(), round);
      }
    }
    progress_.finish(done_);
    return result();
  }

 private:
  // Forward, twice as much backward, and the prompt.
  std::uint64_t flops(std::size_t layout, const Cell& cell) const {
    const auto& [length, batch, generated, bytes] = cell.work;
    const auto per_token = forward_flops_per_token(layouts_[layout].model, length).total();
    return static_cast<std::uint64_t>(per_token * static_cast<double>(length * (3 * batch + 1)));
  }

  void add_to_shape(std::size_t layout, const std::vector<std::int64_t>& lengths) {
    const auto& model = layouts_[layout].model;
    auto shape = std::find_if(shapes_.begin(), shapes_.end(), [&](const Shape& candidate) {
      return same_but_pattern(candidate.work.shape, model);
    });
    if (shape == shapes_.end()) {
      shapes_.emplace_back();
      shape = shapes_.end() - 1;
      shape->work.shape = model;
    }
    auto& work = shape->work;
    shape->layouts.push_back(layout);
    work.has_global = work.has_global || model.has(LayerKind::global);
    work.has_local = work.has_local || model.has(LayerKind::local);
    std::ranges::fill(work.shape.layers, work.has_local ? LayerKind::local : LayerKind::global);
    work.length = reference_length(lengths);
    work.batch = std::max<std::int64_t>(1, options_.tokens / work.length);
    work.bytes_per_value = bytes_per_value_;

    const auto longest = lengths.back() + options_.generated_tokens;
    std::set<std::int64_t> keys = {1};
    if (work.has_local) keys.insert(std::min(model.window_size + 1, longest));
    if (work.has_global) keys.insert({work.length, longest});
    work.cached_keys = {keys.begin(), keys.end()};
  }

  void measure_layout(std::size_t layout, int round) {
    const auto& section = layouts_[layout].model;
    const auto before = round == 0 ? meter_.reset_peak_bytes() : std::nullopt;
    FlatModel model(section, options_.precision, meter_.device());
    AdamW optimizer(options_.optimizer, model.ranges);
    for (auto& cell : cells_[layout]) {
      const bool counts_already = cell.warm_up > kLongCell && round == options_.repeats;
      if (!counts_already) measure_cell(model, optimizer, cell, round, before);
      done_ += flops(layout, cell);
      progress_.update(done_, layouts_[layout].label + " at " + std::to_string(cell.work.length));
    }
  }

  void measure_cell(FlatModel& model, AdamW& optimizer, Cell& cell, int round,
                    const std::optional<std::int64_t>& before) {
    const bool warm_up = round == 0;
    const double began = monotonic_seconds();
    PeakBytes peak;
    if (warm_up) meter_.reset_peak_bytes();
    const auto passes = time_loss(model.model, cell.work.batch, cell.work.length, meter_);
    const double update = time_update(optimizer, model.gradients(), options_.optimizer.lr,
                                      options_.grad_clip, meter_);
    if (before) peak.training = meter_.peak_bytes().value() - *before;

    // Generation needs the weights, and nothing of what training holds beside them.
    const auto held = warm_up ? meter_.reset_peak_bytes() : std::nullopt;
    const auto generation =
        time_generation(model.model, cell.work.length, cell.work.generated_tokens, meter_);
    if (held) {
      peak.generation = meter_.peak_bytes().value() - *held +
                        weight_bytes(model.model->config(), bytes_per_value_);
    }
    if (before && held) cell.peak = peak;
    if (warm_up) cell.warm_up = monotonic_seconds() - began;
    if (!warm_up || cell.warm_up > kLongCell)
      cell.samples.push_back(
          {passes.forward, passes.backward, update, generation.prefill, generation.per_token});
  }

  CostMeasurement result() {
    CostMeasurement measurement;
    measurement.device = c10::DeviceTypeName(meter_.device().type(), /*lower_case=*/true);
    measurement.machine = meter_.machine();
    measurement.threads = at::get_num_threads();
    measurement.precision = options_.precision;
    measurement.rates.resize(layouts_.size());
    for (const auto& shape : shapes_) {
      const auto rates = rates_of(shape.work, median_figures(shape.samples));
      for (const auto layout : shape.layouts) measurement.rates[layout] = rates;
    }
    for (std::size_t i = 0; i < layouts_.size(); ++i) {
      const auto& [label, model] = layouts_[i];
      for (auto& cell : cells_[i]) {
        measurement.rows.push_back(
            {label, pattern_of(model.layers), cell.work, median_figures(cell.samples),
             predicted_seconds(model, cell.work, measurement.rates[i]), cell.peak});
      }
    }
    return measurement;
  }

  const std::vector<NamedLayout>& layouts_;
  CostOptions options_;
  DeviceMeter meter_;
  std::int64_t bytes_per_value_;
  std::vector<Shape> shapes_;
  std::vector<std::vector<Cell>> cells_;  // of each layout
  ProgressBar progress_;
  std::uint64_t done_ = 0;
};

}  // namespace

std::vector<NamedLayout> named_layouts(const std::vector<std::string>& names,
                                       const ModelConfig& shape, bool has_window,
                                       Problems& problems) {
  std::vector<NamedLayout> layouts;
  std::set<std::string> seen;
  if (names.empty()) problems.add("--layouts: names none; give, for example, full,mix:4,local");
  for (const auto& name : names) {
    if (!seen.insert(name).second) {
      problems.add("--layouts: \"" + name + "\" comes twice; leave one of them out");
      continue;
    }
    const auto layers = static_cast<std::size_t>(shape.num_hidden_layers());
    const auto pattern = pattern_named(name, layers, problems);
    if (pattern.empty()) continue;
    if (pattern.find('L') != std::string::npos && !has_window) {
      problems.add("--layouts: \"" + name +
                   "\" has local layers, but the model has no window; give --window N, or " +
                   "model.window_size in the run file");
      continue;
    }
    layouts.push_back({name, shape});
    layouts.back().model.layers = layers_of_pattern(pattern);
  }
  return layouts;
}

std::vector<std::int64_t> sequence_lengths(const std::vector<std::string>& texts,
                                           Problems& problems) {
  std::set<std::int64_t> lengths;
  if (texts.empty()) problems.add("--lengths: names none; give, for example, 1024,2048,4096");
  for (const auto& text : texts) {
    const auto length = positive_number(text);
    if (!length) {
      problems.add("--lengths: \"" + text +
                   "\" is no length; give a whole number of tokens from 1");
    } else if (!lengths.insert(*length).second) {
      problems.add("--lengths: " + text + " comes twice; leave one of them out");
    }
  }
  return {lengths.begin(), lengths.end()};
}

std::int64_t reference_length(const std::vector<std::int64_t>& lengths) {
  const auto first = std::lower_bound(lengths.begin(), lengths.end(), kReferenceLength);
  return first == lengths.end() ? lengths.back() : *first;
}

CostMeasurement measure_cost(const std::vector<NamedLayout>& layouts,
                             const std::vector<std::int64_t>& lengths, const CostOptions& options) {
  set_numerics(options.deterministic, resolve_device(options.device));
  return CostSweep(layouts, lengths, options).run();
}

}  // namespace zebra
