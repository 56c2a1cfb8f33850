#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace zebra {

/// What is wrong with the arms of a sweep: a problem that several arms have is said once.
class ArmProblems {
 public:
  /// `message` is that of an InputError: one problem per line.
  void add(const std::string& arm, const std::string& message);

  bool empty() const { return found_.empty(); }

  /// "arm NAME: PROBLEM (and 5 more arms)", in the order of their first appearance.
  void add_to(Problems& problems) const;

 private:
  struct Found {
    std::string problem, first_arm;
    std::size_t arms = 0;
  };
  std::vector<Found> found_;
};

}  // namespace zebra
