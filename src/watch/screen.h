#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "watch/run_view.h"

namespace zebra {

struct ScreenSize {
  std::size_t columns, rows;
};

/// A run on one screen: how far it is, its figures, the loss against the step, and its last
/// messages. At most `rows` lines of at most `columns` letters; where there is little room the
/// chart goes first. `unicode`: whether the terminal shows more than ASCII.
std::vector<std::string> draw_screen(const RunView& run, const ScreenSize& size, bool unicode);

/// The newest row of the run in one line, for a pipe.
std::string newest_line(const RunView& run);

/// "running, step 20 of 50", "failed at step 20 of 50: a reason".
std::string state_line(const RunView& run);

}  // namespace zebra
