#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace zebra {

/// Of at least one value; of an even number the mean of the middle two.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2.0;
}

/// The median of each figure on its own. `Figures` lists its own as `std::vector<double*>
/// figures()`; there is at least one sample, and all have as many figures.
template <class Figures>
Figures median_figures(std::vector<Figures> samples) {
  Figures result = samples.front();
  const auto of_result = result.figures();
  for (std::size_t i = 0; i < of_result.size(); ++i) {
    std::vector<double> values;
    for (auto& sample : samples) values.push_back(*sample.figures()[i]);
    *of_result[i] = median(std::move(values));
  }
  return result;
}

}  // namespace zebra
