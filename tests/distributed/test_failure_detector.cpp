#include "distributed/failure_detector.h"

#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "support/catch.h"

namespace zebra {
namespace {

RankRecord record_of(int process, std::int64_t collectives, const std::string& activity,
                     double seconds = 0.0) {
  RankRecord record;
  record.heartbeat = 5;
  record.step = 9;
  record.collectives = collectives;
  record.activity = activity;
  record.seconds = seconds;
  record.host = process < 300 ? "a" : "b";
  record.process = process;
  return record;
}

RankRecords a_heartbeat_later(RankRecords records) {
  for (auto& record : records) {
    if (record) ++record->heartbeat;
  }
  return records;
}

// Three ranks that wait in an all-gather.
Evidence waiting(Symptom symptom) {
  Evidence evidence;
  evidence.symptom = symptom;
  for (const int process : {100, 200, 300})
    evidence.before.push_back(record_of(process, 57, "in the all-gather of layers.3", 400.0));
  evidence.now = a_heartbeat_later(evidence.before);
  evidence.silent_for = 15.0;
  evidence.timeout = 300.0;
  evidence.error = "Connection closed by peer";
  return evidence;
}

void stop(Evidence& evidence, std::size_t rank) {
  evidence.now[rank]->heartbeat = evidence.before[rank]->heartbeat;
}

std::string sentence(const Evidence& evidence) { return diagnose(evidence).value_or("none"); }

const std::string kAdvice = ". Start the job again: it continues from the newest whole checkpoint.";

TEST_CASE("a record survives its text") {
  RankRecord record = record_of(4711, 57, "saving \"step-00000200\"\n", 1.0 / 3.0);
  record.finished = true;
  const RankRecord copy = rank_record(to_text(record));
  REQUIRE(copy.heartbeat == 5);
  REQUIRE(copy.step == 9);
  REQUIRE(copy.collectives == 57);
  REQUIRE(copy.activity == record.activity);
  REQUIRE(copy.seconds == record.seconds);
  REQUIRE(copy.finished);
  REQUIRE(copy.host == "b");
  REQUIRE(copy.process == 4711);
  record.activity = "reading \xff.bin";
  REQUIRE(rank_record(to_text(record)).activity == "reading \xef\xbf\xbd.bin");
}

TEST_CASE("a heartbeat that stands still is to blame, whatever raised the symptom") {
  for (const auto symptom : {Symptom::silence, Symptom::timeout, Symptom::failed_collective}) {
    auto evidence = waiting(symptom);
    evidence.now[2]->activity = "computing";
    stop(evidence, 2);
    REQUIRE(
        sentence(evidence) ==
        "rank 2 of 3 (host b, process 300) died or was stopped, last seen at step 9, computing; "
        "rank 0, at step 9, in the all-gather of layers.3, saw no sign of life for 15 s" +
            kAdvice);
  }
}

TEST_CASE("several silent ranks are named together, a finished one is not") {
  auto evidence = waiting(Symptom::silence);
  stop(evidence, 1);
  stop(evidence, 2);
  REQUIRE(sentence(evidence).find("ranks 1 and 2 of 3 (hosts a and b) died or were stopped") == 0);
  evidence.now[1]->finished = true;
  REQUIRE(sentence(evidence).find("rank 2 of 3 (host b, process 300) died") == 0);
}

TEST_CASE("a long list of ranks is cut") {
  auto evidence = waiting(Symptom::silence);
  evidence.before.resize(20, evidence.before[1]);
  evidence.now = a_heartbeat_later(evidence.before);
  for (std::size_t rank = 1; rank < 20; ++rank) stop(evidence, rank);
  REQUIRE(sentence(evidence).find(
              "ranks 1, 2, 3, 4, 5, 6, 7, 8 and 11 more of 20 (hosts a and b) died") == 0);
}

TEST_CASE("a neighbour that moves again is no fault") {
  REQUIRE(diagnose(waiting(Symptom::silence)) == std::nullopt);
}

TEST_CASE("in a time-out the rank that has begun the fewest collectives hangs") {
  auto evidence = waiting(Symptom::timeout);
  evidence.now[1]->collectives = 56;
  evidence.now[1]->activity = "computing";
  REQUIRE(sentence(evidence) ==
          "rank 1 of 3 (host a, process 200) hangs at step 9, computing; other ranks have waited "
          "for 400 s at step 9, in the all-gather of layers.3" +
              kAdvice);
  evidence.now[0]->collectives = 56;
  REQUIRE(sentence(evidence).find("ranks 0 and 1 of 3 (host a) hang at step 9, in the") == 0);
}

TEST_CASE("in a time-out a rank that never came hangs before the start") {
  auto evidence = waiting(Symptom::timeout);
  evidence.before[1].reset();
  evidence.now[1].reset();
  REQUIRE(sentence(evidence).find("rank 1 of 3 hangs before the start; other ranks have") == 0);
}

TEST_CASE("in a time-out of ranks that are all as far, no rank is blamed") {
  auto evidence = waiting(Symptom::timeout);
  for (auto& record : evidence.now) record->step = 0;
  REQUIRE(sentence(evidence) ==
          "all 3 ranks have waited for 400 s before the first step, in the all-gather of layers.3: "
          "the network or a device hangs" +
              kAdvice);
}

TEST_CASE("a time-out is no fault while some rank moves on") {
  auto evidence = waiting(Symptom::timeout);
  evidence.now[2]->seconds = 299.0;
  REQUIRE(shortest_activity(evidence.now) == 299.0);
  REQUIRE(diagnose(evidence) == std::nullopt);
  evidence.now[2]->seconds = 300.0;
  REQUIRE(diagnose(evidence).has_value());
}

TEST_CASE("a failed collective is put to the network when every rank is alive") {
  auto evidence = waiting(Symptom::failed_collective);
  evidence.observer = 1;
  REQUIRE(sentence(evidence) ==
          "a collective failed on rank 1 of 3 (host a, process 200) at step 9, in the all-gather "
          "of layers.3: Connection closed by peer; every rank is alive: the network may be down" +
              kAdvice);
  evidence.now[2]->collectives = 56;
  evidence.now[2]->activity = "computing";
  REQUIRE(sentence(evidence).find("; every rank is alive, rank 2 of 3 (host b, process 300) behind "
                                  "the others at step 9, computing: the network may be down") !=
          std::string::npos);
}

TEST_CASE("an error of a rank's own keeps its words") {
  REQUIRE(error_diagnosis(1, 4, record_of(200, 57, "computing"), "tokens.bin: too short") ==
          "rank 1 of 4 (host a, process 200) failed at step 9, computing: tokens.bin: too short");
}

TEST_CASE("the loss of the store names who serves it and who noticed") {
  REQUIRE(lost_store_diagnosis("rank 0", 1, 4, record_of(200, 57, "in the barrier")) ==
          "rank 0 died, was stopped or cannot be reached: the ranks lost the store that it serves; "
          "noticed by rank 1 of 4 (host a, process 200) at step 9, in the barrier" +
              kAdvice);
}

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

// Ranks that check once a second, by a clock of our own.
class Ranks {
 public:
  explicit Ranks(int ranks) {
    for (int rank = 0; rank < ranks; ++rank) {
      detectors_.emplace_back(store_, rank, ranks, kSilentAfter);
      LocalState own;
      own.record.host = "host";
      own.record.process = 100 + rank;
      own.record.activity = "computing";
      own.timeout = kTimeout;
      own_.push_back(own);
      alive.push_back(true);
    }
  }

  LocalState& operator[](std::size_t rank) { return own_[rank]; }

  void begin_collective(std::size_t rank) {
    own_[rank].record.activity = "in the barrier";
    ++own_[rank].record.collectives;
    own_[rank].record.seconds = 0.0;
  }

  // Lets a second pass; the first diagnosis if there is one.
  std::optional<std::string> tick() {
    std::optional<std::string> first;
    for (std::size_t rank = 0; rank < own_.size(); ++rank) {
      if (!alive[rank]) continue;
      own_[rank].now += 1.0;
      own_[rank].record.seconds += 1.0;
      ++own_[rank].record.heartbeat;
      detectors_[rank].publish(own_[rank].record);
      const auto diagnosis = detectors_[rank].check(own_[rank]);
      if (diagnosis && !first) first = diagnosis;
    }
    return first;
  }

  // The diagnosis and the seconds to it.
  std::pair<std::string, int> run(int most) {
    for (int second = 1; second <= most; ++second) {
      if (const auto diagnosis = tick()) return {*diagnosis, second};
    }
    return {"none", most};
  }

  int readings() const { return store_->readings; }

  std::vector<bool> alive;

 private:
  c10::intrusive_ptr<CountingStore> store_ = c10::make_intrusive<CountingStore>();
  std::vector<FailureDetector> detectors_;
  std::vector<LocalState> own_;
};

bool starts(const std::string& text, const std::string& beginning) {
  return text.compare(0, beginning.size(), beginning) == 0;
}

TEST_CASE("a job in which every rank moves has no diagnosis") {
  Ranks job(3);
  for (int step = 0; step < 10; ++step) {
    for (std::size_t rank = 0; rank < 3; ++rank) job.begin_collective(rank);
    REQUIRE(job.run(99).first == "none");
  }
  REQUIRE(job.readings() == 0);
}

TEST_CASE("a dead rank is named when it has been silent for the given time") {
  for (std::size_t dead = 0; dead < 3; ++dead) {
    Ranks job(3);
    REQUIRE(job.run(5).first == "none");
    job.alive[dead] = false;
    const auto [diagnosis, seconds] = job.run(50);
    CAPTURE(diagnosis, seconds);
    REQUIRE(starts(diagnosis, "rank " + std::to_string(dead) + " of 3 (host host, process 10" +
                                  std::to_string(dead) + ") died or was stopped"));
    REQUIRE(seconds >= 10);
    REQUIRE(seconds <= 12);
    REQUIRE(diagnosis.find("saw no sign of life for 1") != std::string::npos);
  }
}

TEST_CASE("all dead ranks are named, also where most of them are") {
  Ranks job(5);
  REQUIRE(job.run(5).first == "none");
  for (const std::size_t rank : {0, 1, 3, 4}) job.alive[rank] = false;
  REQUIRE(starts(job.run(50).first, "ranks 0, 1, 3 and 4 of 5 (host host) died"));
}

TEST_CASE("a rank that pauses for less than the given time is no fault") {
  Ranks job(3);
  for (int round = 0; round < 5; ++round) {
    REQUIRE(job.run(3).first == "none");
    job.alive[1] = false;
    REQUIRE(job.run(9).first == "none");
    job.alive[1] = true;
  }
}

TEST_CASE("a finished rank may fall silent, and hides no other") {
  Ranks job(3);
  job[1].record.finished = true;
  REQUIRE(job.run(2).first == "none");
  job.alive[1] = false;
  REQUIRE(job.run(50).first == "none");
  job.alive[2] = false;
  REQUIRE(starts(job.run(50).first, "rank 2 of 3"));
}

TEST_CASE("a rank that comes late is waited for, until the time-out") {
  Ranks job(3);
  job.alive[1] = false;
  REQUIRE(job.run(99).first == "none");
  const auto [diagnosis, seconds] = job.run(50);
  CAPTURE(diagnosis, seconds);
  REQUIRE(starts(diagnosis, "rank 1 of 3 hangs before the start"));
  REQUIRE(seconds <= 8);
}

TEST_CASE("a rank that hangs is named after the time-out") {
  Ranks job(3);
  job.begin_collective(0);
  job.begin_collective(2);
  const auto [diagnosis, seconds] = job.run(200);
  CAPTURE(diagnosis, seconds);
  REQUIRE(starts(diagnosis, "rank 1 of 3 (host host, process 101) hangs"));
  REQUIRE(seconds >= 100);
  REQUIRE(seconds <= 107);
}

TEST_CASE("ranks wait beyond the time-out while another moves on") {
  Ranks job(3);
  for (const std::size_t rank : {0, 2}) job.begin_collective(rank);
  for (int part = 0; part < 20; ++part) {
    job[1].record.seconds = 0.0;  // writes another part of a checkpoint
    REQUIRE(job.run(50).first == "none");
  }
  REQUIRE(job.readings() <= 2 * 2 * 20);  // two ranks, twice while rank 1 moves on once
}

TEST_CASE("ranks wait no longer than the time-out after another has moved") {
  Ranks job(3);
  for (const std::size_t rank : {0, 2}) job.begin_collective(rank);
  REQUIRE(job.run(50).first == "none");
  job[1].record.seconds = 0.0;
  const auto [diagnosis, seconds] = job.run(500);
  CAPTURE(diagnosis, seconds);
  REQUIRE(starts(diagnosis, "rank 1 of 3 (host host, process 101) hangs"));
  REQUIRE(seconds >= 100);
  REQUIRE(seconds <= 107);
}

TEST_CASE("a failed collective is diagnosed when the dead had the time to fall silent") {
  Ranks job(3);
  REQUIRE(job.run(5).first == "none");
  job.begin_collective(0);
  job[0].collective_error = "Connection closed by peer";
  SECTION("a rank has died") {
    job.alive[2] = false;
    const auto [diagnosis, seconds] = job.run(50);
    REQUIRE(starts(diagnosis, "rank 2 of 3 (host host, process 102) died or was stopped"));
    REQUIRE(diagnosis.find("; rank 0, before the first step, in the barrier, saw") !=
            std::string::npos);
    REQUIRE(seconds <= 7);
  }
  SECTION("every rank is alive") {
    const auto [diagnosis, seconds] = job.run(50);
    REQUIRE(starts(diagnosis,
                   "a collective failed on rank 0 of 3 (host host, process 100) before "
                   "the first step, in the barrier: Connection closed by peer"));
    REQUIRE(seconds >= 5);
  }
}

}  // namespace
}  // namespace zebra
