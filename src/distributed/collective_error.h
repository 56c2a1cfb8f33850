#pragma once

#include "base/error.h"

namespace zebra {

/// A collective that did not come to its end: a rank is gone, or the network. Names the collective.
class CollectiveError : public RunError {
 public:
  using RunError::RunError;
};

}  // namespace zebra
