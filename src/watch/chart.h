#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "watch/run_view.h"

namespace zebra {

struct ChartOptions {
  std::size_t columns, rows;  ///< letters that the chart may take, axes included
  bool unicode;               ///< dots of Braille patterns; else a star for each letter
};

/// `curve` against the step as lines of text, each a mean over the steps of its place, and single
/// `points` on top. What the first twentieth of the steps has above all that follows is cut off.
/// Empty where there is no finite value, or no room.
std::vector<std::string> draw_chart(const std::vector<StepFigure>& curve,
                                    const std::vector<StepFigure>& points,
                                    const ChartOptions& options);

}  // namespace zebra
