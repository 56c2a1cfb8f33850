#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "config/config.h"

namespace zebra {

/// What a generated token's attention to a full cache costs, beside a copy of as much memory.
struct CacheRead {
  std::string device, machine;  ///< "cpu" or "cuda"; the processor's or GPU's name
  int threads = 0;              ///< of the processor
  Precision precision = Precision::fp32;
  std::string pattern;         ///< one letter per layer
  std::int64_t keys = 0;       ///< that a global layer sees
  std::int64_t bytes = 0;      ///< keys and values of all layers
  std::vector<double> reads;   ///< seconds of attention in all layers, one for each round
  std::vector<double> copies;  ///< seconds of a copy of `bytes` bytes, in the same rounds

  double read_rate() const;  ///< bytes per second, the median
  double copy_rate() const;
  /// How far attention is from a copy's speed: the copy's seconds over its own in each round,
  /// ascending.
  std::vector<double> shares() const;
};

/// Random keys and values: `keys` in each global layer, in a local one as many as its window holds.
/// In each of `repeats` rounds behind one that does not count attention and the copy take turns.
/// Throws InputError where the device does not exist.
CacheRead measure_cache_read(const Config& config, std::int64_t keys, int repeats);

/// As lines for people, and for scripts.
std::string to_text(const CacheRead& measurement);
nlohmann::ordered_json to_json(const CacheRead& measurement);

}  // namespace zebra
