#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "base/text.h"

namespace zebra {

/// Bad usage, configuration or input: the user can fix it. The command prints the message and ends
/// with status 2. A message says what is wrong, where, and how to put it right.
class InputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Something failed while running (a full disk, a diverged loss): status 1.
class RunError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Collects problems so that a user sees all of them at once.
class Problems {
 public:
  void add(std::string problem) { problems_.push_back(std::move(problem)); }
  /// Runs `read`; what it refuses becomes a problem.
  template <class Read>
  void collect(const Read& read) {
    try {
      read();
    } catch (const InputError& error) {
      add(error.what());
    }
  }
  bool empty() const { return problems_.empty(); }
  const std::vector<std::string>& all() const { return problems_; }

  /// Throws an InputError that lists every problem on a line of its own; does nothing when there is
  /// none.
  void throw_if_any() const {
    if (!problems_.empty()) throw InputError(join(problems_, "\n"));
  }

 private:
  std::vector<std::string> problems_;
};

// Exit statuses of the command.
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;    ///< failed while running
inline constexpr int kExitBadInput = 2;  ///< bad usage, configuration or input
inline constexpr int kExitStopped = 75;  ///< stopped by a signal after saving: start it again

/// A LibTorch error without the C++ stack frames that follow its message: they tell a user nothing.
inline std::string without_backtrace(const std::string& message) {
  return message.substr(0, message.find("\nException raised from"));
}

}  // namespace zebra
