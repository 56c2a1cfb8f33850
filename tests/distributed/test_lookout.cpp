#include "distributed/lookout.h"

#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "support/catch.h"

namespace zebra {
namespace {

constexpr double kSilentAfter = 10.0;
constexpr double kTimeout = 100.0;

// Counts the times that someone reads the records of all ranks.
class CountingStore : public c10d::HashStore {
 public:
  std::vector<std::vector<uint8_t>> multiGet(const std::vector<std::string>& keys) override {
    ++readings;
    return c10d::HashStore::multiGet(keys);
  }
  int readings = 0;
};

// A job of ranks that look once a second, by a clock of our own.
class Job {
 public:
  explicit Job(int ranks) {
    for (int rank = 0; rank < ranks; ++rank) {
      lookouts_.emplace_back(store_, rank, ranks, kSilentAfter);
      OwnSituation own;
      own.record.host = "host";
      own.record.process = 100 + rank;
      own.record.activity = "computing";
      own.timeout = kTimeout;
      own_.push_back(own);
      alive.push_back(true);
    }
  }

  OwnSituation& operator[](std::size_t rank) { return own_[rank]; }

  void begin_collective(std::size_t rank) {
    own_[rank].record.activity = "in the barrier";
    ++own_[rank].record.collectives;
    own_[rank].record.seconds = 0.0;
  }

  // Lets a second pass; the first verdict if there is one.
  std::optional<std::string> tick() {
    std::optional<std::string> first;
    for (std::size_t rank = 0; rank < own_.size(); ++rank) {
      if (!alive[rank]) continue;
      own_[rank].now += 1.0;
      own_[rank].record.seconds += 1.0;
      ++own_[rank].record.heartbeat;
      lookouts_[rank].publish(own_[rank].record);
      const auto verdict = lookouts_[rank].look(own_[rank]);
      if (verdict && !first) first = verdict;
    }
    return first;
  }

  // The verdict and the seconds to it.
  std::pair<std::string, int> run(int most) {
    for (int second = 1; second <= most; ++second) {
      if (const auto verdict = tick()) return {*verdict, second};
    }
    return {"none", most};
  }

  int readings() const { return store_->readings; }

  std::vector<bool> alive;

 private:
  c10::intrusive_ptr<CountingStore> store_ = c10::make_intrusive<CountingStore>();
  std::vector<Lookout> lookouts_;
  std::vector<OwnSituation> own_;
};

bool starts(const std::string& text, const std::string& beginning) {
  return text.compare(0, beginning.size(), beginning) == 0;
}

TEST_CASE("a job in which every rank moves has no verdict") {
  Job job(3);
  for (int step = 0; step < 10; ++step) {
    for (std::size_t rank = 0; rank < 3; ++rank) job.begin_collective(rank);
    REQUIRE(job.run(99).first == "none");
  }
  REQUIRE(job.readings() == 0);
}

TEST_CASE("a dead rank is named when it has been silent for the given time") {
  for (std::size_t dead = 0; dead < 3; ++dead) {
    Job job(3);
    REQUIRE(job.run(5).first == "none");
    job.alive[dead] = false;
    const auto [verdict, seconds] = job.run(50);
    CAPTURE(verdict, seconds);
    REQUIRE(starts(verdict, "rank " + std::to_string(dead) + " of 3 (host host, process 10" +
                                std::to_string(dead) + ") died or was stopped"));
    REQUIRE(seconds >= 10);
    REQUIRE(seconds <= 12);
    REQUIRE(verdict.find("saw no sign of life for 1") != std::string::npos);
  }
}

TEST_CASE("all dead ranks are named, also where most of them are") {
  Job job(5);
  REQUIRE(job.run(5).first == "none");
  for (const std::size_t rank : {0, 1, 3, 4}) job.alive[rank] = false;
  REQUIRE(starts(job.run(50).first, "ranks 0, 1, 3 and 4 of 5 (host host) died"));
}

TEST_CASE("a rank that pauses for less than the given time is no fault") {
  Job job(3);
  for (int round = 0; round < 5; ++round) {
    REQUIRE(job.run(3).first == "none");
    job.alive[1] = false;
    REQUIRE(job.run(9).first == "none");
    job.alive[1] = true;
  }
}

TEST_CASE("a finished rank may fall silent, and hides no other") {
  Job job(3);
  job[1].record.finished = true;
  REQUIRE(job.run(2).first == "none");
  job.alive[1] = false;
  REQUIRE(job.run(50).first == "none");
  job.alive[2] = false;
  REQUIRE(starts(job.run(50).first, "rank 2 of 3"));
}

TEST_CASE("a rank that comes late is waited for, until the time-out") {
  Job job(3);
  job.alive[1] = false;
  REQUIRE(job.run(99).first == "none");
  const auto [verdict, seconds] = job.run(50);
  CAPTURE(verdict, seconds);
  REQUIRE(starts(verdict, "rank 1 of 3 hangs before the start"));
  REQUIRE(seconds <= 8);
}

TEST_CASE("a rank that hangs is named after the time-out") {
  Job job(3);
  job.begin_collective(0);
  job.begin_collective(2);
  const auto [verdict, seconds] = job.run(200);
  CAPTURE(verdict, seconds);
  REQUIRE(starts(verdict, "rank 1 of 3 (host host, process 101) hangs"));
  REQUIRE(seconds >= 100);
  REQUIRE(seconds <= 107);
}

TEST_CASE("ranks wait beyond the time-out while another moves on") {
  Job job(3);
  for (const std::size_t rank : {0, 2}) job.begin_collective(rank);
  for (int part = 0; part < 20; ++part) {
    job[1].record.seconds = 0.0;  // writes another part of a checkpoint
    REQUIRE(job.run(50).first == "none");
  }
  REQUIRE(job.readings() <= 2 * 2 * 20);  // two ranks, twice while rank 1 moves on once
}

TEST_CASE("ranks wait no longer than the time-out after another has moved") {
  Job job(3);
  for (const std::size_t rank : {0, 2}) job.begin_collective(rank);
  REQUIRE(job.run(50).first == "none");
  job[1].record.seconds = 0.0;
  const auto [verdict, seconds] = job.run(500);
  CAPTURE(verdict, seconds);
  REQUIRE(starts(verdict, "rank 1 of 3 (host host, process 101) hangs"));
  REQUIRE(seconds >= 100);
  REQUIRE(seconds <= 107);
}

TEST_CASE("a failed collective is judged when the dead had the time to fall silent") {
  Job job(3);
  REQUIRE(job.run(5).first == "none");
  job.begin_collective(0);
  job[0].collective_error = "Connection closed by peer";
  SECTION("a rank has died") {
    job.alive[2] = false;
    const auto [verdict, seconds] = job.run(50);
    REQUIRE(starts(verdict, "rank 2 of 3 (host host, process 102) died or was stopped"));
    REQUIRE(verdict.find("; rank 0, before the first step, in the barrier, saw") !=
            std::string::npos);
    REQUIRE(seconds <= 7);
  }
  SECTION("every rank is alive") {
    const auto [verdict, seconds] = job.run(50);
    REQUIRE(starts(verdict,
                   "a collective failed on rank 0 of 3 (host host, process 100) before "
                   "the first step, in the barrier: Connection closed by peer"));
    REQUIRE(seconds >= 5);
  }
}

}  // namespace
}  // namespace zebra
