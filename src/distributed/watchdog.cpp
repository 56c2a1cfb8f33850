#include "distributed/watchdog.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "base/system.h"

namespace zebra {
namespace {

constexpr double kVisitsPerSecond = 500.0;     // of all ranks together: one thread serves the store
constexpr double kShortestVisitPeriod = 0.01;  // seconds
constexpr double kHeartbeatsOfSilence = 10.0;
constexpr double kHeartbeatsToDepart = 3.0;

constexpr const char* kDiagnosisKey = "diagnosis";  // the rank that made it
constexpr const char* kFinishedKey = "finished";    // number of ranks whose work is done
constexpr const char* kDepartedKey = "departed";  // number of ranks that know that all work is done

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

}  // namespace

Watchdog::Watchdog(const c10::intrusive_ptr<c10d::Store>& store, WatchdogSettings settings)
    : settings_(std::move(settings)),
      visit_period_(std::max(kShortestVisitPeriod, settings_.ranks / kVisitsPerSecond)),
      heartbeat_(std::max(settings_.heartbeat, visit_period_)),
      silent_after_(std::max(settings_.silent_after, kHeartbeatsOfSilence * heartbeat_)),
      store_(store->clone()),
      detector_(store_, settings_.rank, settings_.ranks, silent_after_) {
  own_.timeout = settings_.timeout;
  own_.record.activity = "starting";
  own_.record.host = host_name();
  own_.record.process = ::getpid();
  detector_.publish(own_.record);
  watcher_ = std::thread([this] { watch(); });
  clock_ = std::thread([this] { keep_time(); });
}

Watchdog::~Watchdog() {
  set_state(State::destroyed);
  watcher_.join();
  clock_.join();
  if (announcer_.joinable()) announcer_.join();
}

void Watchdog::set_step(std::int64_t step) {
  const std::lock_guard lock(mutex_);
  own_.record.step = step;
}

void Watchdog::set_timeout(double seconds) {
  const std::lock_guard lock(mutex_);
  own_.timeout = seconds;
}

void Watchdog::begin(const std::string& activity) {
  const std::lock_guard lock(mutex_);
  own_.record.activity = activity;
  began_ = own_.now;
}

void Watchdog::begin_collective(const std::string& name) {
  const std::lock_guard lock(mutex_);
  own_.record.activity = "in the " + name;
  ++own_.record.collectives;
  began_ = own_.now;
}

void Watchdog::fail(const std::string& error) {
  std::unique_lock lock(mutex_);
  own_error_ = error;
  wait_until_over(lock);
}

void Watchdog::collective_failed(const std::string& error) {
  std::unique_lock lock(mutex_);
  own_.collective_error = error;
  wait_until_over(lock);
}

void Watchdog::finish() {
  std::unique_lock lock(mutex_);
  own_.record.activity = "waiting for the other ranks to finish";
  ++own_.record.collectives;
  own_.record.finished = true;
  began_ = own_.now;
  wait_until_over(lock);
}

void Watchdog::wait_until_over(std::unique_lock<std::mutex>& lock) {
  main_thread_calls_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return state_ == State::over; });
}

void Watchdog::watch() {
  try {
    while (!is_over()) {
      check();
      pause();
    }
  } catch (const std::exception&) {  // the store is lost
    std::unique_lock lock(mutex_);
    const bool is_fault = state_ == State::watching;
    lock.unlock();
    if (is_fault) announce(lost_store());
    end();
  }
  const std::lock_guard lock(mutex_);
  watcher_returned_ = true;
  changed_.notify_all();
}

void Watchdog::check() {
  std::unique_lock lock(mutex_);
  ++own_.record.heartbeat;
  own_.record.seconds = own_.now - began_;
  const LocalState own = own_;
  const auto error = own_error_;
  lock.unlock();

  detector_.publish(own.record);
  if (store_->check({kDiagnosisKey})) return depart();
  if (error)
    return declare_failed(error_diagnosis(settings_.rank, settings_.ranks, own.record, *error));
  if (own.record.finished && all_work_is_done(own.now)) return;
  if (const auto diagnosis = detector_.check(own)) declare_failed(*diagnosis);
}

// The store must outlive the last check of every rank: one that sees that all have finished waits
// until all have seen it, or for a while, as one may have died since.
bool Watchdog::all_work_is_done(double now) {
  if (!counted_as_finished_) store_->add(kFinishedKey, 1);
  counted_as_finished_ = true;
  if (!all_finished_since_) {
    if (store_->add(kFinishedKey, 0) < settings_.ranks) return false;
    all_finished_since_ = now;
    set_state(State::all_finished);
    store_->add(kDepartedKey, 1);
  }
  if (store_->add(kDepartedKey, 0) == settings_.ranks || now - *all_finished_since_ > silent_after_)
    set_state(State::over);
  return true;
}

void Watchdog::declare_failed(const std::string& diagnosis) {
  const std::string rank = std::to_string(settings_.rank);
  if (store_->compareSet(kDiagnosisKey, "", rank) == rank) announce(diagnosis);
  depart();
}

// Gives the others time to see the diagnosis: the store may be served by this process.
void Watchdog::depart() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, Seconds(kHeartbeatsToDepart * heartbeat_),
                    [this] { return state_ == State::destroyed; });
  lock.unlock();
  end();
}

void Watchdog::end() {
  std::unique_lock lock(mutex_);
  if (state_ == State::over || state_ == State::destroyed) return;
  // The main thread, told that the others know of its error, ends the process with its own status.
  const bool in_good_order = state_ == State::all_finished || own_error_;
  if (!in_good_order) {
    lock.unlock();
    settings_.leave();  // before the main thread can come to a good end of its own
    lock.lock();
  }
  state_ = State::over;
  changed_.notify_all();
}

void Watchdog::pause() {
  std::unique_lock lock(mutex_);
  last_check_ = own_.now;
  const double seconds = own_.record.finished ? visit_period_ : heartbeat_;
  changed_.wait_for(lock, Seconds(seconds), [this] {
    return main_thread_calls_ || state_ == State::over || state_ == State::destroyed;
  });
  main_thread_calls_ = false;
}

bool Watchdog::is_over() {
  const std::lock_guard lock(mutex_);
  return state_ == State::over || state_ == State::destroyed;
}

// A process that was stopped wakes up to a long wait of its own and to old records of the others,
// and neither is a fault: no more than two heartbeats count for each that this thread sees. It also
// watches the watching thread, which a store or a disk that does not answer would block for ever.
void Watchdog::keep_time() {
  std::unique_lock lock(mutex_);
  auto before = Clock::now();
  while (!changed_.wait_for(lock, Seconds(heartbeat_), [this] { return watcher_returned_; })) {
    const auto time = Clock::now();
    own_.now += std::min(Seconds(time - before).count(), 2.0 * heartbeat_);
    before = time;
    if (own_.now - last_check_ <= silent_after_) continue;
    last_check_ = own_.now;
    if (state_ == State::watching && !announcer_.joinable()) {
      announcer_ = std::thread([this] {
        announce(lost_store());
        settings_.leave();
      });
    } else {  // nor does the report come to an end
      lock.unlock();
      settings_.leave();
      lock.lock();
    }
  }
}

void Watchdog::announce(const std::string& diagnosis) {
  {
    const std::lock_guard lock(mutex_);
    if (announced_) return;
    announced_ = true;
  }
  try {
    if (!settings_.claim_report || settings_.claim_report()) settings_.report(diagnosis);
  } catch (const std::exception&) {
    // What cannot be reported is no reason to stay.
  }
}

std::string Watchdog::lost_store() {
  const std::lock_guard lock(mutex_);
  if (own_error_) return error_diagnosis(settings_.rank, settings_.ranks, own_.record, *own_error_);
  return lost_store_diagnosis(settings_.store_server, settings_.rank, settings_.ranks, own_.record);
}

void Watchdog::set_state(State state) {
  const std::lock_guard lock(mutex_);
  state_ = state;
  changed_.notify_all();
}

}  // namespace zebra
