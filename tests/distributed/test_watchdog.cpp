#include "distributed/watchdog.h"

#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>

#include "base/error.h"
#include "support/catch.h"
#include "support/text.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// Long enough for any machine; a test that waits so long has failed.
constexpr std::chrono::seconds kPatience(120);
constexpr double kNever = 1000.0;
constexpr double kSoon = 2.0;  // longer than a loaded machine keeps a thread waiting

// A store in one process that can be made to lose its server, or to withhold the answer to the
// question that every check begins with: is there a diagnosis?
class FaultyStore : public c10d::HashStore {
 public:
  bool check(const std::vector<std::string>& keys) override {
    const bool answer = c10d::HashStore::check(keys);
    if (keys != std::vector<std::string>{"diagnosis"}) return answer;
    std::unique_lock lock(mutex_);
    ++asked_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !blocked_; });
    if (lost_) throw std::runtime_error("Connection reset by peer");
    return answer;
  }

  void lose() { set(lost_, true); }
  void block() { set(blocked_, true); }
  void unblock() { set(blocked_, false); }

  bool is_asked(int times) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return asked_ >= times; });
  }

 private:
  void set(bool& flag, bool value) {
    const std::lock_guard lock(mutex_);
    flag = value;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int asked_ = 0;
  bool lost_ = false, blocked_ = false;
};

// The ranks of a job as watchdogs in one process, which note what real ones would do.
class WatchedJob {
 public:
  explicit WatchedJob(int ranks) : ranks_(ranks), left_(static_cast<std::size_t>(ranks)) {
    settings.timeout = kNever;
    settings.heartbeat = 0.02;
    settings.silent_after = kNever;
  }
  ~WatchedJob() {
    store->unblock();
    resume_reports();
  }

  void start() {
    for (int rank = 0; rank < ranks_; ++rank) {
      settings.rank = rank;
      settings.ranks = ranks_;
      settings.report = [this](const std::string& diagnosis) { report(diagnosis); };
      settings.leave = [this, rank] { leave(static_cast<std::size_t>(rank)); };
      watchdogs_.push_back(std::make_unique<Watchdog>(store, settings));
    }
  }

  Watchdog& operator[](std::size_t rank) { return *watchdogs_[rank]; }
  void kill(std::size_t rank) { watchdogs_[rank].reset(); }

  // The ranks agree also without the store on who reports.
  void let_claim() {
    settings.claim_report = [this] { return claims_++ == 0; };
  }
  int claims() const { return claims_; }

  void stop_reports() { set_reports_stop(true); }
  void resume_reports() { set_reports_stop(false); }

  // Waits until the rank has left; false when it does not.
  bool leaves(std::size_t rank) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return left_[rank] > 0; });
  }

  // Ends all watchdogs; what was reported by all of them, which is to be one message.
  std::string only_report() {
    watchdogs_.clear();
    if (reports_.size() != 1)
      throw std::runtime_error(std::to_string(reports_.size()) +
                               " reports: " + join(reports_, " | "));
    return reports_.front();
  }

  bool has_reported() {
    const std::lock_guard lock(mutex_);
    return !reports_.empty();
  }
  bool has_left(std::size_t rank) const { return left_[rank] > 0; }

  const c10::intrusive_ptr<FaultyStore> store = c10::make_intrusive<FaultyStore>();
  WatchdogSettings settings;

 private:
  void report(const std::string& diagnosis) {
    std::unique_lock lock(mutex_);
    reports_.push_back(diagnosis);
    changed_.wait(lock, [this] { return !reports_stop_; });
  }
  void set_reports_stop(bool stop) {
    const std::lock_guard lock(mutex_);
    reports_stop_ = stop;
    changed_.notify_all();
  }
  void leave(std::size_t rank) {
    const std::lock_guard lock(mutex_);
    ++left_[rank];
    changed_.notify_all();
  }

  const int ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> reports_;
  std::vector<int> left_;
  std::atomic<int> claims_ = 0;
  bool reports_stop_ = false;
  std::vector<std::unique_ptr<Watchdog>> watchdogs_;  // last: their threads use the others
};

std::future<void> in_background(std::function<void()> main_thread) {
  return std::async(std::launch::async, std::move(main_thread));
}

TEST_CASE("ranks that end in good order wait for each other and report nothing") {
  WatchedJob job(3);
  job.start();
  std::atomic<int> working = 3;
  std::vector<std::future<int>> ranks;
  for (std::size_t rank = 0; rank < 3; ++rank) {
    ranks.push_back(std::async(std::launch::async, [&, rank] {
      for (std::size_t step = 0; step < 5 * rank; ++step) {
        job[rank].set_step(static_cast<std::int64_t>(step));
        job[rank].begin_collective("barrier");
        job[rank].begin("computing");
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      --working;
      job[rank].finish();
      return working.load();
    }));
  }
  for (auto& rank : ranks) REQUIRE(rank.get() == 0);
  REQUIRE_FALSE(job.has_reported());
  for (std::size_t rank = 0; rank < 3; ++rank) REQUIRE_FALSE(job.has_left(rank));
}

TEST_CASE("a rank that throws is reported in its own words, and the others leave") {
  WatchedJob job(3);
  job.start();
  job[1].set_step(7);
  job[1].begin("computing");
  job[1].fail("tokens.bin: too short");
  REQUIRE(job.leaves(0));
  REQUIRE(job.leaves(2));
  const auto report = job.only_report();
  REQUIRE(contains(report, "rank 1 of 3 (host "));
  REQUIRE(contains(report, ") failed at step 7, computing: tokens.bin: too short"));
  REQUIRE_FALSE(job.has_left(1));
}

TEST_CASE("ranks that throw together are one message, and each goes on to its own end") {
  WatchedJob job(3);
  job.settings.heartbeat = 0.5;  // long enough to look only when called
  job.start();
  REQUIRE(job.store->is_asked(3));
  job.store->block();
  std::vector<std::future<void>> ranks;
  for (std::size_t rank = 0; rank < 3; ++rank)
    ranks.push_back(in_background([&job, rank] { job[rank].fail("no such folder"); }));
  REQUIRE(job.store->is_asked(6));
  job.store->unblock();  // all three have seen that there is no diagnosis yet
  for (auto& rank : ranks) rank.get();
  REQUIRE(contains(job.only_report(), "failed before the first step, starting: no such folder"));
}

TEST_CASE("a rank that throws ends those that wait for it to finish") {
  WatchedJob job(2);
  job.start();
  auto finishing = in_background([&job] { job[0].finish(); });
  job.store->wait({"finished"});
  job[1].fail("disk full");
  finishing.get();
  REQUIRE(job.has_left(0));
  REQUIRE(contains(job.only_report(), "rank 1 of 2"));
}

TEST_CASE("a dead rank is found by its silence, with whoever waits") {
  WatchedJob job(3);
  job.settings.silent_after = kSoon;
  job.start();
  for (const std::size_t rank : {0, 1}) {
    job[rank].set_step(3);
    job[rank].begin_collective("all-gather of layers.3");
  }
  job.kill(2);
  REQUIRE(job.leaves(0));
  REQUIRE(job.leaves(1));
  const auto report = job.only_report();
  REQUIRE(contains(report, "rank 2 of 3 (host "));
  REQUIRE(
      contains(report, "died or was stopped, last seen before the first step, starting; rank "));
  REQUIRE(contains(report, ", at step 3, in the all-gather of layers.3, saw no sign of life for"));
}

TEST_CASE("a collective that throws accuses the dead rank, not the one that threw") {
  WatchedJob job(3);
  job.settings.silent_after = kSoon;
  job.start();
  job.kill(2);
  std::vector<std::future<void>> ranks;
  for (const std::size_t rank : {0, 1})
    ranks.push_back(
        in_background([&job, rank] { job[rank].collective_failed("Connection closed by peer"); }));
  for (auto& rank : ranks) rank.get();
  REQUIRE(job.leaves(0));
  REQUIRE(job.leaves(1));
  REQUIRE(contains(job.only_report(), "rank 2 of 3 (host "));
}

TEST_CASE("a rank whose main thread hangs is named, and leaves with the others") {
  WatchedJob job(3);
  job.settings.silent_after = kSoon;
  job.start();
  for (const std::size_t rank : {0, 2}) {
    job[rank].set_step(9);
    job[rank].begin_collective("barrier");
  }
  job[1].set_step(8);
  job[1].begin("computing");
  for (const std::size_t rank : {0, 1, 2}) job[rank].set_timeout(0.2);
  for (const std::size_t rank : {0, 1, 2}) REQUIRE(job.leaves(rank));
  const auto report = job.only_report();
  REQUIRE(contains(report, "rank 1 of 3 (host "));
  REQUIRE(contains(report, ") hangs at step 8, computing; other ranks have waited for "));
  REQUIRE(contains(report, " s at step 9, in the barrier. Start the job again"));
}

TEST_CASE("when the store is lost, every rank leaves and the first to claim reports") {
  WatchedJob job(3);
  job.let_claim();
  SECTION("its connection breaks") {
    job.start();
    job.store->lose();
  }
  SECTION("it gives no answer") {
    job.settings.silent_after = kSoon;
    job.start();
    job.store->block();
  }
  for (const std::size_t rank : {0, 1, 2}) REQUIRE(job.leaves(rank));
  REQUIRE(job.claims() == 3);
  job.store->unblock();
  const auto report = job.only_report();
  REQUIRE(contains(report, "rank 0 died, was stopped or cannot be reached"));
  REQUIRE(contains(report, "before the first step, starting"));
}

TEST_CASE("a rank that throws while the store is lost is reported in its own words") {
  WatchedJob job(2);
  job.settings.silent_after = kSoon;
  job.start();
  job.kill(0);
  job.store->block();
  auto failing = in_background([&job] { job[1].fail("disk full"); });
  REQUIRE(job.leaves(1));
  job.store->unblock();
  failing.get();
  REQUIRE(contains(job.only_report(), "disk full"));
}

TEST_CASE("a report that does not come to an end keeps no rank") {
  WatchedJob job(2);
  job.settings.silent_after = kSoon;
  job.stop_reports();
  std::future<void> failing;
  SECTION("of an error") {
    job.start();
    failing = in_background([&job] { job[1].fail("disk full"); });
  }
  SECTION("of the loss of the store") {
    job.let_claim();
    job.start();
    job.store->block();
  }
  for (const std::size_t rank : {0, 1}) REQUIRE(job.leaves(rank));
  job.store->unblock();
  job.resume_reports();
  if (failing.valid()) failing.get();
  REQUIRE_FALSE(job.only_report().empty());
}

}  // namespace
}  // namespace zebra
