#pragma once

#include <string>

#include "config/catalogue.h"
#include "config/report.h"
#include "config/value.h"

namespace zebra {

/// Tells the report where every key of a file stands, and reports those that do not exist there,
/// with the key that was likely meant. That key is marked unsound, so that it is not reported as
/// missing as well. `known` are all keys of such a file, by default of a run file.
void check_keys(const Value& root, Report& report, const KeyInfo& known = catalogue());

/// Reports a dotted key that no run file has, in the same words.
void report_unknown_key(const std::string& dotted, Report& report);

}  // namespace zebra
