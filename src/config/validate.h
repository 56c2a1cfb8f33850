#pragma once

#include "config/config.h"
#include "config/report.h"

namespace zebra {

/// Reports what is wrong between keys of a resolved configuration. Checks that depend on a key
/// already known to be wrong are left out. `ranks` share train.global_batch_size.
void validate(const RunFile& config, int ranks, Report& report);

}  // namespace zebra
