#pragma once

#include <stdexcept>
#include <string>
#include <vector>

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
  bool empty() const { return problems_.empty(); }
  const std::vector<std::string>& all() const { return problems_; }

  /// Throws an InputError that lists every problem on a line of its own; does nothing when there is
  /// none.
  void throw_if_any() const;

 private:
  std::vector<std::string> problems_;
};

/// The parts with `separator` between them.
std::string join(const std::vector<std::string>& parts, const std::string& separator);

/// A LibTorch error without the C++ stack frames that follow its message: they tell a user nothing.
std::string without_backtrace(const std::string& message);

/// Smallest number of insertions, deletions, substitutions and swaps of neighbours between two
/// words.
std::size_t edit_distance(const std::string& a, const std::string& b);

/// The candidate nearest to `word`, or an empty string when none is near enough to be a likely
/// slip.
std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace zebra
