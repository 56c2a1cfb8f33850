#pragma once

#include "config/report.h"
#include "config/value.h"

namespace zebra {

/// Reports every key of a run file that does not exist where it stands, with the key that was
/// likely meant. That key is marked unsound, so that it is not reported as missing as well.
void check_keys(const Value& root, Report& report);

}  // namespace zebra
