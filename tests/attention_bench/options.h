#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "competitor.h"
#include "device.h"

namespace zebra::bench {

/// The command line.
struct Options {
  void add_to(CLI::App& app);

  /// All below throw InputError where the options ask for what cannot be.
  std::vector<torch::DeviceType> chosen_devices() const;
  std::vector<Case> cases(torch::DeviceType device) const;
  std::optional<kernels::InstructionSet> chosen_instruction_set() const;
  /// The peers that were named, or all; each with a case among `cases` that it supports.
  std::vector<Peer> chosen_peers(const std::vector<Case>& all_cases) const;

  // Empty lists and zeros: the default, which depends on the device and the mode.
  std::string device, instruction_set;
  std::vector<std::string> types, peers;
  std::vector<std::int64_t> head_sizes, windows, lengths;
  std::int64_t batch = 1, heads = 0, key_heads = 0, document_length = 0;
  int threads = 0, repetitions = 5;
  bool without_rotary = false, length_sweep = false;
  std::filesystem::path csv;
};

}  // namespace zebra::bench
