#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "distributed/collective_error.h"
#include "distributed/launch.h"
#include "distributed/reported_by_first_rank.h"
#include "distributed/text_exchange.h"
#include "distributed/watchdog.h"

namespace zebra {

/// The processes of this job, how they meet, and what happens when one of them fails. A process on
/// its own is a job of one rank: everything here then costs nothing.
class Job {
 public:
  /// Waits until all ranks have joined. Throws RunError when they do not, naming those that are
  /// missing.
  explicit Job(Launch launch);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  int rank() const { return launch_.rank; }
  int ranks() const { return launch_.ranks; }
  /// The rank that talks to people and owns the run folder.
  bool is_first() const { return launch_.rank == 0; }
  const Launch& launch() const { return launch_; }

  /// The text of every rank, by rank. All ranks call it; `what` names it in messages ("the parts of
  /// a checkpoint").
  std::vector<std::string> exchange(const std::string& text, const std::string& what);
  /// The same for the first rank only; nothing on the others. For long texts of many ranks.
  std::vector<std::string> gather(const std::string& text, const std::string& what);
  /// The first rank's text, on every rank.
  std::string from_first(const std::string& text, const std::string& what);

  /// For another thread than the main one, which must not wait behind it: an exchange over a
  /// connection of its own, the same on all ranks by `name`.
  TextExchange text_exchange(const std::string& name) const;

  /// Runs `work`, which is `what` ("reading the run file"), on every rank. Where it throws an
  /// InputError on some, all ranks end with status 2: the first throws an InputError with the
  /// messages of all, the others ReportedByFirstRank.
  void together(const std::string& what, const std::function<void()>& work);

  /// Keys of their own in the store; only for jobs of several ranks.
  c10::intrusive_ptr<c10d::Store> store(const std::string& name) const;

  // Signs of life of the main thread; see Watchdog.
  void begin(const std::string& activity);
  void begin_collective(const std::string& name);
  void end_collective();
  void set_step(std::int64_t step);
  void set_timeout(double seconds);

  /// What to do with the one message of a failed job, besides printing it; and the folder, shared
  /// by all ranks, through which they agree on who prints it when the store is gone.
  void set_failure_record(std::filesystem::path shared_folder,
                          std::function<void(const std::string& message)> record);

  // The ends of a rank: fail and collective_failed for one among several.

  /// This rank's own error ends the job: returns when the others know and it has been reported.
  void fail(const std::string& error);
  /// A collective of this rank failed, most likely because of another rank: does not return.
  void collective_failed(const CollectiveError& error);
  /// This rank's work is done: returns when that of all ranks is.
  void finish();
  bool is_finished() const { return finished_; }

 private:
  void join();
  void as_collective(const std::string& name, const std::function<void()>& work);
  void start_watchdog();
  void report(const std::string& verdict);
  bool claim();

  const Launch launch_;
  c10::intrusive_ptr<c10d::Store> store_;
  std::string attempt_;  // names this start of the job
  std::unique_ptr<TextExchange> texts_;
  std::mutex mutex_;
  std::filesystem::path shared_folder_;
  std::function<void(const std::string&)> record_;
  std::unique_ptr<Watchdog> watchdog_;
  bool finished_ = false;
};

}  // namespace zebra
