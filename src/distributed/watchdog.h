#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "distributed/failure_detector.h"

namespace zebra {

struct WatchdogSettings {
  int rank = 0;
  int ranks = 2;
  double timeout = 1800.0;     ///< seconds in which no rank begins anything; see set_timeout
  double heartbeat = 0.5;      ///< seconds; longer where the store would see too many visits
  double silent_after = 15.0;  ///< seconds; at least ten heartbeats
  std::string store_server = "rank 0";  ///< who is to blame when the store is gone

  /// Tells people the diagnosis. Called on one rank of the job, in a thread of the watchdog.
  std::function<void(const std::string& diagnosis)> report;
  /// True for its first caller in the job, by other means than the store: when that is gone, every
  /// rank diagnoses for itself. Without it each of them reports then.
  std::function<bool()> claim_report;
  /// Ends this process, at once, as the main thread may hold any lock.
  std::function<void()> leave = [] { std::_Exit(1); };
};

/// Brings every rank of a job down, with one message, when one of them dies, hangs or throws.
///
/// Nothing can interrupt a main thread that waits inside a collective. So a thread of each rank
/// keeps a record of its main thread in the store and looks for failures (FailureDetector). The
/// first rank with a diagnosis reports it; all ranks leave.
///
/// Time is what this process lives through: a job that is suspended as a whole goes on unharmed.
///
/// Made on every rank once all have joined, over keys of the store that no earlier start of the job
/// has used. Each rank ends with one of finish, fail and collective_failed.
class Watchdog {
 public:
  /// Uses a connection of its own (a clone): the main thread may block the other one.
  Watchdog(const c10::intrusive_ptr<c10d::Store>& store, WatchdogSettings settings);
  /// Where neither finish nor fail came before, the other ranks will find that this one died.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void set_step(std::int64_t step);
  void set_timeout(double seconds);

  /// The main thread is now `activity` ("computing", "waiting for the all-gather of layers.3"): a
  /// sign of life. Costs a lock and no traffic.
  void begin(const std::string& activity);
  /// The main thread is now in the collective `name` ("all-gather of layers.3"). All ranks begin
  /// the same collectives: one that has begun fewer than the others is the one that hangs.
  void begin_collective(const std::string& name);

  /// This rank threw an error of its own. Returns when the others know; the caller ends its process
  /// and prints nothing: `report` has the error, unless another rank's came first.
  void fail(const std::string& error);
  /// A collective threw an error: most likely another rank is to blame. Waits for the diagnosis,
  /// upon which `leave` ends the process.
  void collective_failed(const std::string& error);
  /// This rank's work is done. Returns when that of all ranks is, and the store may go.
  void finish();

 private:
  enum class State {
    watching,
    all_finished,  // all work is done: the loss of the store is no fault any more
    over,          // a diagnosis, or the end in good order
    destroyed,
  };

  // The main thread.
  void wait_until_over(std::unique_lock<std::mutex>& lock);

  // The watching thread.
  void watch();
  void check();
  bool all_work_is_done(double now);
  void declare_failed(const std::string& diagnosis);
  void depart();
  void end();
  void pause();
  bool is_over();

  // The clock's thread.
  void keep_time();

  // Both of these.
  void announce(const std::string& diagnosis);
  std::string lost_store();
  void set_state(State state);

  const WatchdogSettings settings_;
  const double visit_period_;  // seconds between two visits of a rank that the store can bear
  const double heartbeat_, silent_after_;
  const c10::intrusive_ptr<c10d::Store> store_;
  FailureDetector detector_;

  std::mutex mutex_;  // for all down to watcher_returned_
  std::condition_variable changed_;
  State state_ = State::watching;
  LocalState own_;           // its time leaves out that in which the process was stopped
  double began_ = 0.0;       // when the activity did
  double last_check_ = 0.0;  // when the watching thread last came back from the store
  std::optional<std::string> own_error_;
  bool main_thread_calls_ = false;  // for a check at once
  bool announced_ = false;
  bool watcher_returned_ = false;

  // Of the watching thread alone.
  bool counted_as_finished_ = false;
  std::optional<double> all_finished_since_;

  std::thread watcher_, clock_, announcer_;
};

}  // namespace zebra
