#pragma once

#include <optional>
#include <vector>

#include "competitor.h"
#include "device.h"
#include "table.h"

namespace zebra::bench {

/// zebra alone over growing lengths: how time and memory grow.
struct LengthSweep {
  std::optional<kernels::InstructionSet> instruction_set;
  int repetitions = 0;
  bool rotary = true;

  /// Cases that differ in nothing but the length and follow each other are one sweep: timed in
  /// turns, each row with its growth over the one above.
  void run(const std::vector<Case>& cases, Device& device, CsvFile& csv) const;

  /// The first row of the CSV file.
  static std::vector<std::string> csv_headings();
};

}  // namespace zebra::bench
