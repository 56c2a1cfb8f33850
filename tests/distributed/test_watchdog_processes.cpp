// Faults of real processes over a real store. The server of the store is in rank 0, as in a job.
#include <c10/util/Logging.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "distributed/watchdog.h"
#include "support/catch.h"
#include "support/temporary_folder.h"
#include "support/text.h"

C10_DECLARE_int(caffe2_log_level);

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr int kProcesses = 3;
constexpr int kProcessPatience = 120;        // seconds after which a process is a test's failure
constexpr double kProcessSilentAfter = 2.0;  // longer than a loaded machine keeps a thread waiting
constexpr int kStatusOfOwnError = 2;

// What a rank's main thread does; the result is its process's exit status.
using MainThread = std::function<int(int rank, Watchdog& watchdog, c10d::Store& store)>;

c10::intrusive_ptr<c10d::TCPStore> open_store(bool serve, std::uint16_t port) {
  c10d::TCPStoreOptions options;
  options.isServer = serve;
  options.port = port;
  options.waitWorkers = false;
  return c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
}

// Three ranks in processes of their own, which tell this one what happens through a pipe.
class JobOfProcesses {
 public:
  explicit JobOfProcesses(MainThread main_thread, double timeout = 1000.0, bool may_claim = true)
      : main_thread_(std::move(main_thread)), timeout_(timeout), may_claim_(may_claim) {
    REQUIRE(::pipe(pipe_) == 0);
    REQUIRE(::fcntl(pipe_[0], F_SETFL, O_NONBLOCK) == 0);
    start(0, 0);
    wait_for("port");
    const auto port = static_cast<std::uint16_t>(std::stoi(lines_.front().substr(5)));
    for (int rank = 1; rank < kProcesses; ++rank) start(rank, port);
    store_ = open_store(false, port);
    store_->set("all ranks are started", "");
    for (int rank = 0; rank < kProcesses; ++rank) wait_for("ready " + std::to_string(rank));
  }
  ~JobOfProcesses() {
    for (const auto& [rank, process] : processes_) {
      ::kill(process, SIGKILL);
      ::waitpid(process, nullptr, 0);
    }
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }
  JobOfProcesses(const JobOfProcesses&) = delete;
  JobOfProcesses& operator=(const JobOfProcesses&) = delete;

  pid_t process(int rank) const { return processes_.at(rank); }
  void send(int signal, int rank) { ::kill(processes_.at(rank), signal); }
  void tell(const std::string& key) { store_->set(key, ""); }

  // The rank's exit status; minus the signal that killed it.
  int status(int rank) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kProcessPatience);
    int status = 0;
    while (::waitpid(processes_.at(rank), &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline)
        throw std::runtime_error("rank " + std::to_string(rank) + " does not end");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    processes_.erase(rank);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  // What the ranks have reported so far, joined.
  std::string reports() {
    read_lines();
    std::vector<std::string> reports;
    for (const auto& line : lines_) {
      if (line.rfind("report ", 0) == 0) reports.push_back(line.substr(7));
    }
    return join(reports, " | ");
  }

 private:
  void start(int rank, std::uint16_t port) {
    const pid_t process = ::fork();
    REQUIRE(process >= 0);
    if (process == 0) {
      int status = 99;
      try {
        status = run(rank, port);
      } catch (const std::exception& error) {
        say("report unexpected: " + without_backtrace(error.what()));
      }
      ::_exit(status);
    }
    processes_[rank] = process;
  }

  int run(int rank, std::uint16_t port) {
    FLAGS_caffe2_log_level = 2;  // a lost connection is expected: no warnings with stack frames
    const auto store = open_store(rank == 0, port);
    if (rank == 0) say("port " + std::to_string(store->getPort()));
    store->wait({"all ranks are started"});
    WatchdogSettings settings;
    settings.rank = rank;
    settings.ranks = kProcesses;
    settings.timeout = timeout_;
    settings.heartbeat = 0.05;
    settings.silent_after = kProcessSilentAfter;
    settings.report = [this](const std::string& diagnosis) { say("report " + diagnosis); };
    if (may_claim_) {
      settings.claim_report = [this] {
        return ::open((folder_ / "diagnosis").c_str(), O_CREAT | O_EXCL, 0600) >= 0;
      };
    }
    Watchdog watchdog(store, settings);
    say("ready " + std::to_string(rank));
    return main_thread_(rank, watchdog, *store);
  }

  void say(const std::string& line) {
    const std::string text = line + "\n";
    if (::write(pipe_[1], text.data(), text.size()) < 0) ::_exit(98);
  }

  void read_lines() {
    std::array<char, 4096> buffer;
    for (ssize_t size = 0; (size = ::read(pipe_[0], buffer.data(), buffer.size())) > 0;)
      text_.append(buffer.data(), static_cast<std::size_t>(size));
    lines_.clear();
    std::istringstream text(text_);
    for (std::string line; std::getline(text, line);) lines_.push_back(line);
  }

  void wait_for(const std::string& beginning) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kProcessPatience);
    const auto has_come = [&] {
      read_lines();
      return std::any_of(lines_.begin(), lines_.end(),
                         [&](const auto& line) { return line.rfind(beginning, 0) == 0; });
    };
    while (!has_come()) {
      if (std::chrono::steady_clock::now() > deadline)
        throw std::runtime_error("no rank said: " + beginning);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  const MainThread main_thread_;
  const double timeout_;
  const bool may_claim_;
  TemporaryFolder folder_;
  int pipe_[2];
  std::map<int, pid_t> processes_;
  std::string text_;
  std::vector<std::string> lines_;
  c10::intrusive_ptr<c10d::Store> store_;
};

int wait_in_collective(int, Watchdog& watchdog, c10d::Store&) {
  watchdog.set_step(12);
  watchdog.begin_collective("reduce-scatter of layers.3");
  for (;;) ::pause();
}

// The rank throws as soon as it is told to; the others wait for it.
MainThread throwing(int thrower) {
  return [thrower](int rank, Watchdog& watchdog, c10d::Store& store) {
    if (rank != thrower) return wait_in_collective(rank, watchdog, store);
    watchdog.set_step(12);
    watchdog.begin("computing");
    store.wait({"throw"});
    watchdog.fail("tokens.bin: too short");
    return kStatusOfOwnError;
  };
}

int hang_in_rank_1(int rank, Watchdog& watchdog, c10d::Store& store) {
  if (rank != 1) return wait_in_collective(rank, watchdog, store);
  watchdog.set_step(11);
  watchdog.begin("computing");
  for (;;) ::pause();
}

// Works on for some time, the longer the higher the rank.
int work(int rank, Watchdog& watchdog, c10d::Store&) {
  for (int step = 0; step < 30 * (rank + 1); ++step) {
    watchdog.set_step(step);
    watchdog.begin("computing");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  watchdog.finish();
  return 0;
}

bool is_one(const std::string& reports) { return !reports.empty() && !contains(reports, " | "); }

TEST_CASE("processes that finish at different moments all end with status 0") {
  JobOfProcesses job(work);
  for (int rank = 0; rank < kProcesses; ++rank) CHECK(job.status(rank) == 0);
  REQUIRE(job.reports() == "");
}

TEST_CASE("a job that is suspended as a whole goes on unharmed") {
  JobOfProcesses job(work);
  for (int rank = 0; rank < kProcesses; ++rank) job.send(SIGSTOP, rank);
  std::this_thread::sleep_for(std::chrono::duration<double>(1.5 * kProcessSilentAfter));
  for (int rank = 0; rank < kProcesses; ++rank) job.send(SIGCONT, rank);
  for (int rank = 0; rank < kProcesses; ++rank) CHECK(job.status(rank) == 0);
  REQUIRE(job.reports() == "");
}

TEST_CASE("a killed process is named and ends the others") {
  JobOfProcesses job(wait_in_collective);
  const std::string process = std::to_string(job.process(2));
  job.send(SIGKILL, 2);
  for (const int rank : {0, 1}) CHECK(job.status(rank) == 1);
  const auto reports = job.reports();
  CAPTURE(reports);
  REQUIRE(is_one(reports));
  REQUIRE(contains(reports, "rank 2 of 3 (host "));
  REQUIRE(contains(reports, ", process " + process + ") died or was stopped, last seen "));
  REQUIRE(
      contains(reports, ", at step 12, in the reduce-scatter of layers.3, saw no sign of life"));
}

TEST_CASE("a stopped process is named, and leaves quietly when it goes on") {
  JobOfProcesses job(wait_in_collective);
  job.send(SIGSTOP, 1);
  for (const int rank : {0, 2}) CHECK(job.status(rank) == 1);
  REQUIRE(contains(job.reports(), "rank 1 of 3 (host "));
  job.send(SIGCONT, 1);
  CHECK(job.status(1) == 1);
  REQUIRE(is_one(job.reports()));
}

TEST_CASE("the process that serves the store ends the others when it is killed or stopped") {
  JobOfProcesses job(wait_in_collective);
  const int signal = GENERATE(SIGKILL, SIGSTOP);
  job.send(signal, 0);
  for (const int rank : {1, 2}) CHECK(job.status(rank) == 1);
  job.send(SIGCONT, 0);
  CHECK(job.status(0) == (signal == SIGKILL ? -SIGKILL : 1));
  const auto reports = job.reports();
  CAPTURE(reports);
  REQUIRE(is_one(reports));
  REQUIRE(contains(reports, "rank 0 died, was stopped or cannot be reached"));
  REQUIRE(contains(reports, "at step 12, in the reduce-scatter of layers.3"));
}

TEST_CASE("a process that throws is reported in its own words, also where it serves the store") {
  const int thrower = GENERATE(0, 1);
  // The store lives for long enough that all ranks see the diagnosis there.
  JobOfProcesses job(throwing(thrower), /*timeout=*/1000.0, /*may_claim=*/false);
  job.tell("throw");
  for (int rank = 0; rank < kProcesses; ++rank)
    CHECK(job.status(rank) == (rank == thrower ? kStatusOfOwnError : 1));
  const auto reports = job.reports();
  CAPTURE(reports);
  REQUIRE(is_one(reports));
  REQUIRE(contains(reports, "rank " + std::to_string(thrower) + " of 3 (host "));
  REQUIRE(contains(reports, ") failed at step 12, computing: tokens.bin: too short"));
}

TEST_CASE("a process whose main thread hangs is named and ends with the others") {
  JobOfProcesses job(hang_in_rank_1, /*timeout=*/0.5);
  for (int rank = 0; rank < kProcesses; ++rank) CHECK(job.status(rank) == 1);
  const auto reports = job.reports();
  CAPTURE(reports);
  REQUIRE(is_one(reports));
  REQUIRE(contains(reports, "rank 1 of 3 (host "));
  REQUIRE(contains(reports, ") hangs at step 11, computing; other ranks have waited for "));
  REQUIRE(contains(reports, " s at step 12, in the reduce-scatter of layers.3. Start the job"));
}

}  // namespace
}  // namespace zebra
