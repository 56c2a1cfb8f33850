#pragma once

#include <optional>
#include <vector>

#include "competitor.h"
#include "device.h"
#include "table.h"

namespace zebra::bench {

/// Compares zebra with peers, case by case.
struct Comparison {
  std::vector<Peer> peers;
  std::optional<kernels::InstructionSet> instruction_set;
  int repetitions = 0;
  bool rotary = true;

  /// Checks and times all cases of one device; prints a table and adds rows to the CSV file.
  void run(const std::vector<Case>& cases, const Device& device, CsvFile& csv) const;

  /// The first row of the CSV file.
  static std::vector<std::string> csv_headings();
};

}  // namespace zebra::bench
