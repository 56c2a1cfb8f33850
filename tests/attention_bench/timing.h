#pragma once

#include <functional>
#include <vector>

#include "competitor.h"
#include "device.h"

namespace zebra::bench {

struct Summary {
  double median = 0, lowest = 0, highest = 0;
};

/// Of at least one value; the median of an even number is the mean of the middle two.
Summary summary(std::vector<double> values);

/// Summary of numerators[i] / denominators[i]: noise that both of a pair met cancels out.
Summary summary_of_ratios(const std::vector<double>& numerators,
                          const std::vector<double>& denominators);

/// Seconds of each repetition.
struct Times {
  std::vector<double> forward, backward, both;
};

/// Times competitors in turns: every repetition runs each of them once, beginning with another one,
/// so that noise hits all alike. `before` runs at the beginning of each repetition. One repetition
/// more comes first and does not count: it warms caches up and gets memory from the system.
std::vector<Times> take_turns(const Device& device,
                              const std::vector<std::unique_ptr<Competitor>>& competitors,
                              int repetitions, const std::function<void()>& before);

/// A product of two square matrices, timed beside the competitors: the ceiling of their rates.
class MatrixProduct {
 public:
  MatrixProduct(const Device& device, torch::DeviceType type, torch::ScalarType element);

  void time();

  static constexpr std::int64_t kSize = 2048;
  /// FLOP/s of each repetition.
  const std::vector<double>& rates() const { return rates_; }

 private:
  const Device& device_;
  torch::Tensor left_, right_, product_;
  std::vector<double> rates_;
};

}  // namespace zebra::bench
