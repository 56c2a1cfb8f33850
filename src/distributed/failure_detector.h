#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace zebra {

/// What a rank tells the others about itself, about twice a second.
struct RankRecord {
  std::int64_t heartbeat = 0;    ///< counts the records written: stands still when the process does
  std::int64_t step = 0;         ///< 0 before the first
  std::int64_t collectives = 0;  ///< begun so far: a rank that hangs falls behind the others
  std::string activity;          ///< of the main thread: "computing", "in the barrier"
  double seconds = 0.0;          ///< spent in that activity
  bool finished = false;         ///< its work is done: it may fall silent
  std::string host;
  std::int64_t process = 0;
};

/// As JSON on one line.
std::string to_text(const RankRecord& record);
RankRecord rank_record(const std::string& text);

/// The records of all ranks as read at one time; nothing for a rank that has not written one.
using RankRecords = std::vector<std::optional<RankRecord>>;

/// The shortest time that any rank has spent in its activity: for so long nobody has moved on.
double shortest_activity(const RankRecords& records);

enum class Symptom {
  silence,            ///< a rank's heartbeat stands still
  timeout,            ///< the main thread has begun nothing new for too long
  failed_collective,  ///< a collective threw an error, as it does when another rank dies
};

/// What a rank knows when it looks for who is to blame.
struct Evidence {
  Symptom symptom = Symptom::silence;
  int observer = 0;         ///< the rank with the symptom, one with a record
  RankRecords before, now;  ///< some heartbeats apart
  double silent_for = 0.0;  ///< seconds for which a rank that is silent has been so at least
  double timeout = 0.0;     ///< seconds
  std::string error;        ///< what the collective threw
};

/// The diagnosis: one sentence for people that names the rank to blame, its step and its activity;
/// nothing where the symptom was a false alarm. Blames ranks whose heartbeat stands still; else,
/// when no rank has moved on for the time-out, those that have begun the fewest collectives; else,
/// where a collective failed, the network.
std::optional<std::string> diagnose(const Evidence& evidence);

/// The diagnosis for a rank that threw an error of its own.
std::string error_diagnosis(int rank, int ranks, const RankRecord& record,
                            const std::string& error);

/// The diagnosis for a rank that can no longer reach the store, which `server` serves.
std::string lost_store_diagnosis(const std::string& server, int rank, int ranks,
                                 const RankRecord& record);

/// What a check is based on, besides the records of the other ranks.
struct LocalState {
  RankRecord record;
  double now = 0.0;                             ///< seconds on a clock that runs on between checks
  double timeout = 0.0;                         ///< seconds
  std::optional<std::string> collective_error;  ///< what a collective of this rank threw
};

/// Watches the ranks of a job through their records in the store.
///
/// Each rank watches the next one only, so that a check costs the same in a job of any size; where
/// several ranks die, the one before them sees it. A symptom makes it read the records of all
/// ranks twice, half of `silent_after` apart, before it names one.
class FailureDetector {
 public:
  FailureDetector(c10::intrusive_ptr<c10d::Store> store, int rank, int ranks, double silent_after);

  /// Shows this rank's record to the others.
  void publish(const RankRecord& record);

  /// To be called at every heartbeat: returns a diagnosis once there is one.
  std::optional<std::string> check(const LocalState& own);

 private:
  struct Inquiry {
    double opened;
    RankRecords before;
  };

  std::optional<Symptom> find_symptom(const LocalState& own);
  bool neighbour_is_late(double now);
  std::optional<std::string> conclude(Symptom symptom, const LocalState& own);
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
