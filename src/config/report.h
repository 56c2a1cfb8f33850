#pragma once

#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/value.h"

namespace zebra {

/// Collects what is wrong with a configuration, each problem with the place of its key, and
/// remembers which keys cannot be relied on, so that one mistake is not reported again by every
/// check that depends on it.
class Report {
 public:
  /// `sources` names the files in order.
  explicit Report(std::vector<std::string> sources);

  /// Where `key` (dotted) was written.
  void locate(const std::string& key, const Origin& origin) { origins_[key] = origin; }

  /// Problems with `key` are to be mended where `source`, from which it follows, was written.
  void locate_at(const std::string& key, const std::string& source) {
    origins_[key] = origin_of(source);
  }

  /// Adds "PLACE: KEY: WHAT", at the place of `key` or of the nearest section around it, and makes
  /// the key unsound.
  void problem(const std::string& key, const std::string& what);

  void mark_unsound(const std::string& key) { unsound_.insert(key); }

  /// Whether none of the keys, and no section around them, was found wrong or missing.
  bool sound(std::initializer_list<std::string> keys) const;

  /// Throws an InputError with all problems in the order of files and lines.
  void throw_if_any() const;

 private:
  struct Problem {
    Origin origin;
    std::string text;
  };

  Origin origin_of(std::string key) const;
  std::size_t rank_of(const Origin& origin) const;

  std::vector<std::string> sources_;
  std::map<std::string, Origin> origins_;
  std::set<std::string> unsound_;
  std::vector<Problem> problems_;
};

}  // namespace zebra
