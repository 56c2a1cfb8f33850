#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace zebra {

/// Texts that the ranks of a job show one another through its store. All ranks make the same calls
/// in the same order; each call waits for the ranks that it needs. Not thread-safe: a thread that
/// shares texts beside the main one has an exchange of its own.
///
/// Throws what the store throws when it is gone.
class TextExchange {
 public:
  /// `store` holds no keys but this exchange's; null for a single rank, which only hears itself.
  TextExchange(c10::intrusive_ptr<c10d::Store> store, int rank, int ranks);

  int rank() const { return rank_; }
  int ranks() const { return ranks_; }
  bool is_first() const { return rank_ == 0; }

  /// The text of every rank, by rank.
  std::vector<std::string> exchange(const std::string& text);
  /// The same for the first rank only; nothing on the others. For long texts of many ranks.
  std::vector<std::string> gather(const std::string& text);
  /// The first rank's text, on every rank.
  std::string from_first(const std::string& text);

 private:
  std::string key(int rank) const;
  void show(const std::string& text);
  std::vector<std::string> read(int ranks);
  void forget();

  c10::intrusive_ptr<c10d::Store> store_;
  int rank_, ranks_;
  std::int64_t shares_ = 0;         // texts shared so far, in any of the three ways
  std::vector<std::string> shown_;  // keys of this rank's own
};

}  // namespace zebra
