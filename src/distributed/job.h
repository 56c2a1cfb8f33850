#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "distributed/launch.h"
#include "distributed/watchdog.h"

namespace zebra {

struct Config;
class CollectiveError;

/// Collectives of texts between the ranks of a job, through its store. All ranks make the same
/// calls in the same order; each call waits for the ranks that it needs. Not thread-safe: a thread
/// that shares texts beside the main one has collectives of its own.
///
/// Throws what the store throws when it is gone.
class TextCollectives {
 public:
  /// `store` holds no keys but those of these collectives; null for a single rank, which only hears
  /// itself.
  TextCollectives(c10::intrusive_ptr<c10d::Store> store, int rank, int ranks)
      : store_(std::move(store)), rank_(rank), ranks_(ranks) {}

  int rank() const { return rank_; }
  int ranks() const { return ranks_; }
  bool is_first() const { return rank_ == 0; }

  /// The text of every rank, by rank.
  std::vector<std::string> all_gather(const std::string& text);
  /// The same for the first rank only; nothing on the others. For long texts of many ranks.
  std::vector<std::string> gather(const std::string& text);
  /// The first rank's text, on every rank.
  std::string broadcast(const std::string& text);

 private:
  std::string key(int rank) const;
  void write(const std::string& text);
  std::vector<std::string> read(int ranks);
  void forget();

  c10::intrusive_ptr<c10d::Store> store_;
  int rank_, ranks_;
  std::int64_t calls_ = 0;            // of any of the three
  std::vector<std::string> written_;  // keys of this rank's own
};

/// An InputError of this job that the first rank tells the user: the others end quietly.
class ReportedByFirstRank : public std::runtime_error {
 public:
  ReportedByFirstRank() : std::runtime_error("the first rank reports what is wrong") {}
};

/// The processes of this job, how they meet, and what happens when one of them fails. A process on
/// its own is a job of one rank: everything here then costs nothing.
class Job {
 public:
  /// Waits until all ranks have joined. Throws RunError when they do not, naming those that are
  /// missing, and when the meeting place is that of another job.
  explicit Job(Launch launch);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  int rank() const { return launch_.rank; }
  int ranks() const { return launch_.ranks; }
  /// The rank that talks to people and owns the run folder.
  bool is_first() const { return launch_.rank == 0; }
  const Launch& launch() const { return launch_; }

  // Collectives of texts; `what` names them in messages ("the parts of a checkpoint"). They throw
  // CollectiveError.
  std::vector<std::string> all_gather(const std::string& text, const std::string& what);
  std::vector<std::string> gather(const std::string& text, const std::string& what);
  std::string broadcast(const std::string& text, const std::string& what);

  /// For another thread than the main one, which must not wait behind it: over a connection of its
  /// own, the same on all ranks by `name`.
  TextCollectives text_collectives(const std::string& name) const;

  /// Runs `work`, which is `what` ("reading the run file"), on every rank. Where it throws an
  /// InputError on some, all ranks end with status 2: the first throws an InputError with the
  /// messages of all, the others ReportedByFirstRank.
  void together(const std::string& what, const std::function<void()>& work);

  /// Keys of their own in the store; only for jobs of several ranks.
  c10::intrusive_ptr<c10d::Store> store(const std::string& name) const;

  // Signs of life of the main thread; see Watchdog.
  void begin(const std::string& activity) { watch(&Watchdog::begin, activity); }
  void begin_collective(const std::string& name) { watch(&Watchdog::begin_collective, name); }
  void end_collective() { begin("computing"); }
  void set_step(std::int64_t step) { watch(&Watchdog::set_step, step); }
  void set_timeout(double seconds) { watch(&Watchdog::set_timeout, seconds); }

  /// What to do with the one message of a failed job, besides printing it; and the folder, shared
  /// by all ranks, through which they settle who prints it when the store is gone.
  void set_failure_record(std::filesystem::path shared_folder,
                          std::function<void(const std::string& message)> record);

  // The ends of a rank: fail and collective_failed for one among several.

  /// This rank's own error ends the job: returns when the others know and it has been reported.
  void fail(const std::string& error) { watchdog_->fail(error); }
  /// A collective of this rank failed, most likely because of another rank: does not return.
  void collective_failed(const CollectiveError& error);
  /// This rank's work is done: returns when that of all ranks is.
  void finish();
  bool is_finished() const { return finished_; }

 private:
  void require_own_job();
  void join();
  template <class Sign, class Value>
  void watch(Sign sign, const Value& value) {
    if (watchdog_) (watchdog_.get()->*sign)(value);
  }
  template <class Work>
  auto as_collective(const std::string& name, const Work& work);
  void start_watchdog();
  void report(const std::string& diagnosis);
  bool claim_report();

  const Launch launch_;
  c10::intrusive_ptr<c10d::Store> store_;
  std::string attempt_;  // names this start of the job
  TextCollectives texts_{nullptr, 0, 1};
  std::mutex mutex_;
  std::filesystem::path shared_folder_;
  std::function<void(const std::string&)> record_;
  std::unique_ptr<Watchdog> watchdog_;
  bool finished_ = false;
};

/// What all ranks of a run must have in common: names and short texts or hashes.
using RunFacts = std::vector<std::pair<std::string, std::string>>;

/// The build, and a hash of each section of the resolved configuration.
RunFacts run_facts(const Config& config);

/// Compares the facts of all ranks. Throws InputError, on the ranks that differ from the first,
/// with the names of what differs. All ranks call it.
void check_consistency(Job& job, const RunFacts& facts);

}  // namespace zebra
