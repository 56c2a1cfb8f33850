#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace zebra {

/// Writes of one kind that must not end a run: a failure costs what was to be written, and people
/// are told of the first in a row.
class BestEffort {
 public:
  /// `name` of what is written; `consequence` of a failure, "the next is written when it is due".
  BestEffort(std::string name, std::string consequence)
      : name_(std::move(name)), consequence_(std::move(consequence)) {}

  /// Whether `write` succeeded: it did not throw RunError or a file system's error.
  template <class Write>
  bool attempt(const Write& write) {
    try {
      write();
    } catch (const RunError& error) {
      return failed(error.what());
    } catch (const std::filesystem::filesystem_error& error) {
      return failed(error.what());
    }
    if (std::exchange(is_failing_, false)) log_info(name_ + " can be written again");
    return true;
  }

 private:
  bool failed(const std::string& reason) {
    if (!std::exchange(is_failing_, true)) log_warning(reason + "; " + consequence_);
    return false;
  }

  std::string name_, consequence_;
  bool is_failing_ = false;
};

}  // namespace zebra
