#include "comparison.h"

#include <ATen/Parallel.h>

#include <iostream>

#include "base/error.h"
#include "base/text.h"

namespace zebra::bench {
namespace {

/// What was measured of one competitor.
struct Row {
  std::string name;
  Case task;
  Cost cost;
  Summary forward, backward, both;               // seconds
  Summary forward_ratio, backward_ratio, ratio;  // to zebra's seconds
  Summary share;                                 // of the matrix product's rate
  bool repeats;                                  // with the same bits
};

double flops(const Cost& cost) { return cost.forward_flops + cost.backward_flops; }

Row measured(const std::string& name, const Case& task, bool rotary, bool repeats,
             const Times& times, const Times& zebra, const std::vector<double>& product_rates) {
  const auto cost = cost_of(task, rotary);
  std::vector<double> rates;
  for (const double seconds : times.both) rates.push_back(flops(cost) / seconds);
  return {.name = name,
          .task = task,
          .cost = cost,
          .forward = summary(times.forward),
          .backward = summary(times.backward),
          .both = summary(times.both),
          .forward_ratio = summary_of_ratios(times.forward, zebra.forward),
          .backward_ratio = summary_of_ratios(times.backward, zebra.backward),
          .ratio = summary_of_ratios(times.both, zebra.both),
          .share = summary_of_ratios(rates, product_rates),
          .repeats = repeats};
}

std::vector<std::string> shape_cells(const Row& row) {
  const auto& task = row.task;
  std::vector<std::string> cells = {device_name(task.device), row.name, type_name(task.type)};
  for (const auto size :
       {task.batch, task.query_heads, task.key_heads, task.head_size, task.length, task.window,
        task.document_length, static_cast<std::int64_t>(at::get_num_threads())}) {
    cells.push_back(std::to_string(size));
  }
  return cells;
}

// GFLOP/s on the processor, TFLOP/s on a GPU.
double rate_unit(const Case& task) { return task.device == torch::kCUDA ? 1e12 : 1e9; }

std::vector<Table::Column> columns(const Case& first) {
  const std::string unit = first.device == torch::kCUDA ? "TFLOP/s" : "GFLOP/s";
  constexpr auto kLeft = Table::Column::kLeft;
  return {{"device", 0, kLeft},
          {"name", 12, kLeft},
          {"type", 8, kLeft},
          {"B", 0},
          {"H", 2},
          {"Hkv", 0},
          {"D", 3},
          {"T", 5},
          {"W", 5},
          {"documents", 0},
          {"threads", 0},
          {"forward ms", 0},
          {"backward ms", 0},
          {"both ms (low-high)", 22},
          {unit + " forward", 0},
          {"backward", 0},
          {"both", 5},
          {"% of product", 0},
          {"MB at least", 0},
          {"x zebra (low-high)", 0},
          {"same bits", 0}};
}

std::vector<std::string> table_cells(const Row& row) {
  auto cells = shape_cells(row);
  const double unit = rate_unit(row.task);
  cells.insert(
      cells.end(),
      {three_digits(row.forward.median * 1e3), three_digits(row.backward.median * 1e3),
       with_range(row.both, 1e3), three_digits(row.cost.forward_flops / row.forward.median / unit),
       three_digits(row.cost.backward_flops / row.backward.median / unit),
       three_digits(flops(row.cost) / row.both.median / unit), fixed(100 * row.share.median, 1),
       three_digits((row.cost.forward_bytes + row.cost.backward_bytes) * 1e-6),
       with_range(row.ratio), row.repeats ? "yes" : "no"});
  return cells;
}

std::vector<std::string> csv_cells(const Row& row, const Comparison& comparison,
                                   const std::string& instruction_set, double product_rate) {
  auto cells = shape_cells(row);
  cells.insert(cells.end(), {instruction_set, comparison.rotary ? "1" : "0",
                             std::to_string(comparison.repetitions)});
  const auto add = [&](const Summary& values, double scale) {
    for (const double value : {values.median, values.lowest, values.highest}) {
      cells.push_back(round_trip(value * scale));
    }
  };
  for (const auto* seconds : {&row.forward, &row.backward, &row.both}) add(*seconds, 1e3);
  for (const double value : {row.cost.forward_flops / row.forward.median * 1e-9,
                             row.cost.backward_flops / row.backward.median * 1e-9,
                             flops(row.cost) / row.both.median * 1e-9, product_rate * 1e-9}) {
    cells.push_back(round_trip(value));
  }
  add(row.share, 1);
  cells.push_back(round_trip(row.cost.forward_bytes));
  cells.push_back(round_trip(row.cost.backward_bytes));
  for (const auto* ratio : {&row.forward_ratio, &row.backward_ratio, &row.ratio}) add(*ratio, 1);
  cells.emplace_back(row.repeats ? "1" : "0");
  return cells;
}

// Ours on a global peer's task.
Result global_result(const Problem& problem, const Case& task,
                     std::optional<kernels::InstructionSet> set) {
  const auto zebra = zebra_competitor(problem, task, set);
  zebra->run();
  return zebra->result();
}

}  // namespace

std::vector<std::string> Comparison::csv_headings() {
  std::vector<std::string> headings = {"device", "name",       "type",    "B",
                                       "H",      "Hkv",        "D",       "T",
                                       "W",      "documents",  "threads", "instruction_set",
                                       "rotary", "repetitions"};
  const auto add = [&](const std::string& name) {
    for (const char* suffix : {"", "_lowest", "_highest"}) headings.push_back(name + suffix);
  };
  for (const char* name : {"forward_ms", "backward_ms", "both_ms"}) add(name);
  headings.insert(headings.end(),
                  {"forward_gflops", "backward_gflops", "both_gflops", "product_gflops"});
  add("share_of_product");
  headings.insert(headings.end(), {"forward_bytes", "backward_bytes"});
  for (const char* name : {"forward_ratio", "backward_ratio", "both_ratio"}) add(name);
  headings.emplace_back("same_bits");
  return headings;
}

void Comparison::run(const std::vector<Case>& cases, const Device& device, CsvFile& csv) const {
  Table table(std::cout, columns(cases.front()));
  for (const auto& shape : cases) {
    const Problem problem(shape, rotary);
    std::vector<std::unique_ptr<Competitor>> competitors;
    std::vector<std::pair<std::string, Case>> tasks = {{"zebra", shape}};
    competitors.push_back(zebra_competitor(problem, shape, instruction_set));
    competitors.front()->run();
    std::vector<bool> same_bits = {repeats(*competitors.front())};
    if (!same_bits.front())
      throw RunError("zebra gives other bits the second time, case " + to_string(shape));
    for (const auto& peer : peers) {
      if (!peer.supports(shape)) continue;
      tasks.emplace_back(peer.name, peer.task(shape));
      competitors.push_back(peer.create(problem));
      competitors.back()->run();
      check(peer.name, tasks.back().second, competitors.back()->result(),
            peer.global ? global_result(problem, tasks.back().second, instruction_set)
                        : competitors.front()->result());
      same_bits.push_back(repeats(*competitors.back()));
    }
    MatrixProduct product(device, shape.device, shape.type);
    const auto times = take_turns(device, competitors, repetitions, [&] { product.time(); });
    for (std::size_t i = 0; i < times.size(); ++i) {
      const auto row = measured(tasks[i].first, tasks[i].second, rotary, same_bits[i], times[i],
                                times[0], product.rates());
      const bool kernel = i == 0 && shape.device == torch::kCPU;
      table.row(table_cells(row));
      csv.row(csv_cells(row, *this,
                        kernel ? kernels::instruction_set_name(
                                     instruction_set.value_or(kernels::best_instruction_set()))
                               : "",
                        summary(product.rates()).median));
    }
  }
}

}  // namespace zebra::bench
