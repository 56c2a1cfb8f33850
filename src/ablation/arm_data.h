#pragma once

#include "ablation/sweep.h"

namespace zebra {

/// Adds to `problems` whatever keeps an arm from using its data: tokenizers and datasets that are
/// not there or do not fit, sources without a single sample, and a share of the loss that training
/// probes cannot have. Where those are not written yet, a few hundred of them are made to tell,
/// outside the sweep's folder.
void check_data(const Sweep& sweep, Problems& problems);

}  // namespace zebra
