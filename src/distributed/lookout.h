#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "distributed/verdict.h"

namespace zebra {

/// What a look is based on, besides the records of the other ranks.
struct OwnSituation {
  RankRecord record;
  double now = 0.0;                             ///< seconds on a clock that runs on between looks
  double timeout = 0.0;                         ///< seconds
  std::optional<std::string> collective_error;  ///< what a collective of this rank threw
};

/// Watches the ranks of a job through their records in the store.
///
/// Each rank watches the next one only, so that a look costs the same in a job of any size; where
/// several ranks die, the one before them sees it. A suspicion makes it read the records of all
/// ranks twice, half of `silent_after` apart, before it judges.
class Lookout {
 public:
  Lookout(c10::intrusive_ptr<c10d::Store> store, int rank, int ranks, double silent_after);

  /// Shows this rank's record to the others.
  void publish(const RankRecord& record);

  /// To be called at every heartbeat: returns a verdict once there is one.
  std::optional<std::string> look(const OwnSituation& own);

 private:
  struct Inquiry {
    double opened;
    RankRecords before;
  };

  std::optional<Suspicion> suspect(const OwnSituation& own);
  bool neighbour_is_late(double now);
  std::optional<std::string> conclude(Suspicion suspicion, const OwnSituation& own);
  bool has_record(int rank);
  RankRecords read_records();

  const c10::intrusive_ptr<c10d::Store> store_;
  const int rank_;
  const double silent_after_;

  std::vector<bool> seen_;  // ranks that have published a record
  const int neighbour_;     // the next rank
  std::int64_t neighbour_heartbeat_ = 0;
  double neighbour_moved_ = 0.0;  // when that was seen to change
  std::optional<Inquiry> inquiry_;
  double may_wait_until_ = 0.0;  // another rank was found to move on
};

}  // namespace zebra
