#pragma once

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

enum class Suspicion {
  silence,            ///< a rank's heartbeat stands still
  timeout,            ///< the main thread has begun nothing new for too long
  failed_collective,  ///< a collective threw an error, as it does when another rank dies
};

/// What a rank knows when it judges.
struct Evidence {
  Suspicion suspicion = Suspicion::silence;
  int judge = 0;            ///< the rank that suspects, one with a record
  RankRecords before, now;  ///< some heartbeats apart
  double silent_for = 0.0;  ///< seconds for which a rank that is silent has been so at least
  double timeout = 0.0;     ///< seconds
  std::string error;        ///< what the collective threw
};

/// One sentence for people that names the rank to blame, its step and its activity; nothing where
/// the suspicion was false. Blames ranks whose heartbeat stands still; else, when no rank has moved
/// on for the time-out, those that have begun the fewest collectives; else, where a collective
/// failed, the network.
std::optional<std::string> verdict(const Evidence& evidence);

/// The sentence for a rank that threw an error of its own.
std::string failure_verdict(int rank, int ranks, const RankRecord& record,
                            const std::string& error);

/// The sentence for a rank that can no longer reach the store, which `server` serves.
std::string lost_store_verdict(const std::string& server, int rank, int ranks,
                               const RankRecord& record);

}  // namespace zebra
