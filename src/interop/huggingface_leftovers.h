#pragma once

#include <string>
#include <vector>

#include "base/json_reader.h"
#include "config/config.h"

namespace zebra {

// What stands in a config.json besides the model: what trainers and conversions leave behind.

/// Adds a problem for each key that would change the mathematics and has no neutral value: one with
/// which the model computes what Zebra computes.
void refuse_other_mathematics(JsonFields& fields, const ModelSection& model);

/// Takes note of keys that say where a model came from, how it was run, and how text is drawn from
/// it: not what it computes.
void ignore_bookkeeping(JsonFields& fields);

}  // namespace zebra
