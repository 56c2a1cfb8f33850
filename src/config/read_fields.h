#pragma once

#include "config/config.h"
#include "config/report.h"
#include "config/value.h"

namespace zebra {

/// Fills `config` from the merged values: expands `${VAR}`, converts, checks ranges and required
/// keys, makes paths absolute. Expects that check_keys has told the report where every key stands.
void read_fields(const Value& root, RunFile& config, Report& report);

}  // namespace zebra
