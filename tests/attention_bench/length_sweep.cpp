#include "length_sweep.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "base/text.h"

namespace zebra::bench {
namespace {

/// Bytes of a forward and backward.
struct Memory {
  std::int64_t arguments = 0;  // everything that is read or written
  std::int64_t workspace = 0;  // that the kernels ask their caller for
  std::int64_t peak = 0;       // measured: the most that was added to the state before the inputs
};

std::int64_t argument_bytes(const Problem& problem) {
  const auto bytes = [](const torch::Tensor& x) {
    return x.defined() ? static_cast<std::int64_t>(x.nbytes()) : 0;
  };
  const auto& shape = problem.shape;
  const auto log_sum_exp = 4 * shape.batch * shape.query_heads * shape.length;
  // The gradients are as large as the inputs, the output as large as its gradient.
  return 2 * (bytes(problem.inputs.heads) + bytes(problem.d_out)) + log_sum_exp +
         bytes(problem.rotary.cos) + bytes(problem.rotary.sin);
}

Memory memory_of(const Case& shape, const LengthSweep& sweep, Device& device) {
  const auto before = device.reset_peak_bytes();
  const Problem problem(shape, sweep.rotary);
  device.reset_peak_bytes();  // to make the inputs takes more than they hold
  zebra_competitor(problem, shape, sweep.instruction_set)->run();
  return {argument_bytes(problem), workspace_bytes(shape), device.peak_bytes() - before};
}

/// What was measured at one length.
struct Point {
  Case shape;
  Memory memory;
  Times times;

  double tokens() const { return static_cast<double>(shape.batch * shape.length); }
};

std::vector<Point> measured(const std::vector<Case>& shapes, const LengthSweep& sweep,
                            Device& device) {
  std::vector<Point> points;
  for (const auto& shape : shapes) points.push_back({shape, memory_of(shape, sweep, device), {}});
  std::vector<std::unique_ptr<Problem>> problems;
  std::vector<std::unique_ptr<Competitor>> competitors;
  for (const auto& shape : shapes) {
    problems.push_back(std::make_unique<Problem>(shape, sweep.rotary));
    competitors.push_back(zebra_competitor(*problems.back(), shape, sweep.instruction_set));
  }
  const auto times = take_turns(device, competitors, sweep.repetitions, [] {});
  for (std::size_t i = 0; i < points.size(); ++i) points[i].times = times[i];
  return points;
}

/// How the time of forward and backward and the peak of memory grew when the length doubled.
struct Growth {
  Summary time;
  double memory = 0;
};

std::optional<Growth> growth(const Point& from, const Point& to) {
  if (to.shape.length <= from.shape.length) return std::nullopt;
  const double doublings = std::log2(to.tokens() / from.tokens());
  std::vector<double> ratios;
  for (std::size_t i = 0; i < to.times.both.size(); ++i) {
    ratios.push_back(std::pow(to.times.both[i] / from.times.both[i], 1 / doublings));
  }
  const auto peak_ratio =
      static_cast<double>(to.memory.peak) / static_cast<double>(from.memory.peak);
  return Growth{summary(ratios), std::pow(peak_ratio, 1 / doublings)};
}

std::vector<std::string> shape_cells(const Case& shape) {
  std::vector<std::string> cells = {device_name(shape.device), type_name(shape.type)};
  for (const auto size :
       {shape.batch, shape.query_heads, shape.key_heads, shape.head_size, shape.window,
        static_cast<std::int64_t>(at::get_num_threads()), shape.length}) {
    cells.push_back(std::to_string(size));
  }
  return cells;
}

std::vector<std::string> table_cells(const Point& point, const std::optional<Growth>& since_last) {
  auto cells = shape_cells(point.shape);
  const auto& [forward, backward, both] = point.times;
  const auto bytes_per_token = [&](std::int64_t bytes) {
    return fixed(static_cast<double>(bytes) / point.tokens(), 0);
  };
  cells.insert(
      cells.end(),
      {three_digits(summary(forward).median * 1e3), three_digits(summary(backward).median * 1e3),
       with_range(summary(both), 1e3), three_digits(summary(both).median / point.tokens() * 1e9),
       since_last ? with_range(since_last->time) : "", bytes_per_token(point.memory.arguments),
       bytes_per_token(point.memory.workspace), bytes_per_token(point.memory.peak),
       since_last ? three_digits(since_last->memory) : ""});
  return cells;
}

std::vector<std::string> csv_cells(const Point& point, const std::optional<Growth>& since_last) {
  auto cells = shape_cells(point.shape);
  const auto add = [&](const Summary& values, double scale) {
    for (const double value : {values.median, values.lowest, values.highest}) {
      cells.push_back(round_trip(value * scale));
    }
  };
  add(summary(point.times.forward), 1e3);
  add(summary(point.times.backward), 1e3);
  add(summary(point.times.both), 1e3);
  for (const auto bytes : {point.memory.arguments, point.memory.workspace, point.memory.peak}) {
    cells.push_back(std::to_string(bytes));
  }
  if (since_last) {
    add(since_last->time, 1);
    cells.push_back(round_trip(since_last->memory));
  } else {
    cells.insert(cells.end(), 4, "");
  }
  return cells;
}

bool same_but_length(Case a, const Case& b) {
  a.length = b.length;
  return to_string(a) == to_string(b);
}

}  // namespace

std::vector<std::string> LengthSweep::csv_headings() {
  std::vector<std::string> headings = {"device", "type", "B", "H", "Hkv", "D", "W", "threads", "T"};
  const auto add = [&](const std::string& name) {
    for (const char* suffix : {"", "_lowest", "_highest"}) headings.push_back(name + suffix);
  };
  for (const char* name : {"forward_ms", "backward_ms", "both_ms"}) add(name);
  headings.insert(headings.end(), {"argument_bytes", "workspace_bytes", "peak_bytes"});
  add("time_per_doubling");
  headings.push_back("peak_per_doubling");
  return headings;
}

void LengthSweep::run(const std::vector<Case>& cases, Device& device, CsvFile& csv) const {
  constexpr auto kLeft = Table::Column::kLeft;
  Table table(std::cout, {{"device", 0, kLeft},
                          {"type", 8, kLeft},
                          {"B", 0},
                          {"H", 2},
                          {"Hkv", 0},
                          {"D", 3},
                          {"W", 5},
                          {"threads", 0},
                          {"T", 6},
                          {"forward ms", 0},
                          {"backward ms", 0},
                          {"both ms (low-high)", 22},
                          {"ns/token", 0},
                          {"per doubling (low-high)", 0},
                          {"arguments B/token", 0},
                          {"workspace", 0},
                          {"measured peak", 0},
                          {"per doubling", 0}});
  memory_of(cases.front(), *this, device);  // so that threads and libraries are in memory already
  for (auto first = cases.begin(); first != cases.end();) {
    const auto last = std::find_if_not(
        first, cases.end(), [&](const Case& shape) { return same_but_length(shape, *first); });
    const auto points = measured({first, last}, *this, device);
    for (std::size_t i = 0; i < points.size(); ++i) {
      const auto since_last = i > 0 ? growth(points[i - 1], points[i]) : std::nullopt;
      table.row(table_cells(points[i], since_last));
      csv.row(csv_cells(points[i], since_last));
    }
    first = last;
  }
}

}  // namespace zebra::bench
