#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "base/error.h"
#include "config/names.h"

namespace zebra {

/// How far a model of local layers must carry an answer. A token at distance d behind the
/// predicting position is seen by one local layer up to d = W, and reached through n of them up to
/// d = n W; beyond that only a global layer reaches it.
enum class DistanceBand { control, relay, beyond };
inline constexpr std::size_t kDistanceBands = 3;
inline constexpr std::array<DistanceBand, kDistanceBands> kAllDistanceBands = {
    DistanceBand::control, DistanceBand::relay, DistanceBand::beyond};

template <>
struct EnumNames<DistanceBand> {
  static constexpr NameTable<DistanceBand, kDistanceBands> kTable{
      {{DistanceBand::control, "control"},
       {DistanceBand::relay, "relay"},
       {DistanceBand::beyond, "beyond"}}};
};

/// The distances first, first + 1, … last; none where last is below first.
struct DistanceRange {
  std::int64_t first, last;

  bool empty() const { return last < first; }
  bool operator==(const DistanceRange&) const = default;
};

struct DistanceBands {
  std::int64_t window;  ///< W, at least 1
  std::int64_t layers;  ///< n, at least 1

  /// n W, the last distance that local layers reach.
  std::int64_t reach() const {
    constexpr auto kLargest = std::numeric_limits<std::int64_t>::max();
    return window > kLargest / layers ? kLargest : window * layers;
  }

  /// `distance` is at least 0.
  DistanceBand band_of(std::int64_t distance) const {
    if (distance <= window) return DistanceBand::control;
    return distance <= reach() ? DistanceBand::relay : DistanceBand::beyond;
  }

  /// Those of the `possible` distances, 0 or more, that lie in the band.
  DistanceRange distances(DistanceBand band, DistanceRange possible) const {
    switch (band) {
      case DistanceBand::control:
        return {possible.first, std::min(window, possible.last)};
      case DistanceBand::relay:
        return {std::max(window + 1, possible.first), std::min(reach(), possible.last)};
      case DistanceBand::beyond:
        break;
    }
    if (possible.last <= reach()) return {possible.last + 1, possible.last};
    return {std::max(reach() + 1, possible.first), possible.last};
  }
};

/// Adds what is wrong with them.
inline void check_distance_bands(const DistanceBands& bands, Problems& problems) {
  if (bands.window < 1) {
    problems.add("the window is " + std::to_string(bands.window) +
                 ": give 1 or more, the local layers' window of the model in question");
  }
  if (bands.layers < 1) {
    problems.add("the number of layers is " + std::to_string(bands.layers) +
                 ": give 1 or more, the layers of the model in question");
  }
}

}  // namespace zebra
