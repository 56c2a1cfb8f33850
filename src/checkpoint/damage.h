#pragma once

#include "base/error.h"

namespace zebra {

/// A file is not what its format demands: cut off, changed, or never written whole. What else can
/// be wrong with a checkpoint (a newer format, another model's shapes) is a plain InputError.
struct CheckpointDamage : InputError {
  using InputError::InputError;
};

}  // namespace zebra
