#pragma once

#include <string>

#include "base/error.h"

namespace zebra {

/// A collective that did not come to its end: a rank is gone, or the network.
class CollectiveError : public RunError {
 public:
  CollectiveError(const std::string& collective, const std::string& reason)
      : RunError(collective + ": " + reason), reason_(reason) {}

  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

}  // namespace zebra
