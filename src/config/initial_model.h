#pragma once

#include "config/report.h"
#include "config/value.h"

namespace zebra {

/// For a run that starts from a model's weights (`model.init_from`): the model keys of that run or
/// checkpoint, read from its config.yaml, below the given ones. Its layout gives way to any layout
/// key given, and where rope_scaling is given its max_position_embeddings becomes the
/// original_max_position_embeddings. A file that spells out every model key (a resolved one) is
/// returned as it is, so that a run needs its origin only once.
///
/// Reports an origin that cannot be read, and a preset beside it.
Value on_top_of_initial_model(const Value& given, Report& report);

}  // namespace zebra
