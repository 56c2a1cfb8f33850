#pragma once

#include <stdexcept>

namespace zebra {

/// An InputError of this job that the first rank tells the user: the others end quietly.
class ReportedByFirstRank : public std::runtime_error {
 public:
  ReportedByFirstRank() : std::runtime_error("the first rank reports what is wrong") {}
};

}  // namespace zebra
