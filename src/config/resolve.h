#pragma once

#include "config/config.h"
#include "config/report.h"

namespace zebra {

/// Fills every default that follows from other keys, and turns the short forms of the layout into
/// an attention_pattern with one letter per layer. Reports what cannot be derived. `ranks` share
/// train.global_batch_size.
void resolve(Config& config, int ranks, Report& report);

}  // namespace zebra
