#pragma once

#include <cstddef>
#include <deque>
#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace zebra {

/// How far a value lies above the last ones before it: by how many of their standard deviations it
/// exceeds their mean. Values of a healthy run stay below 6 or so (OLMo 2 counts those beyond).
class SpikeScore {
 public:
  /// Part of a checkpoint, so that a resumed run tells the same.
  struct State {
    std::deque<double> recent;      ///< the finite values, the oldest first, at most kMostValues
    std::optional<double> highest;  ///< score since take_highest()
  };

  static constexpr std::size_t kMostValues = 128;
  /// Values that must be known before there is a score.
  static constexpr std::size_t kFewestValues = 32;

  /// Takes the next value and returns its score: nothing where too few are known, or where it is
  /// not finite. 0 where all are equal.
  std::optional<double> add(double value);

  /// The highest score since the last call, if any.
  std::optional<double> take_highest();

  const State& state() const { return state_; }
  void set_state(State state) { state_ = std::move(state); }

 private:
  State state_;
};

void to_json(nlohmann::ordered_json& json, const SpikeScore::State& state);
void from_json(const nlohmann::ordered_json& json, SpikeScore::State& state);

}  // namespace zebra
