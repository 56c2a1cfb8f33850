#include "distributed/verdict.h"

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
Evidence waiting(Suspicion suspicion) {
  Evidence evidence;
  evidence.suspicion = suspicion;
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

std::string sentence(const Evidence& evidence) { return verdict(evidence).value_or("none"); }

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

TEST_CASE("a heartbeat that stands still is to blame, whatever raised the suspicion") {
  for (const auto suspicion :
       {Suspicion::silence, Suspicion::timeout, Suspicion::failed_collective}) {
    auto evidence = waiting(suspicion);
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
  auto evidence = waiting(Suspicion::silence);
  stop(evidence, 1);
  stop(evidence, 2);
  REQUIRE(sentence(evidence).find("ranks 1 and 2 of 3 (hosts a and b) died or were stopped") == 0);
  evidence.now[1]->finished = true;
  REQUIRE(sentence(evidence).find("rank 2 of 3 (host b, process 300) died") == 0);
}

TEST_CASE("a long list of ranks is cut") {
  auto evidence = waiting(Suspicion::silence);
  evidence.before.resize(20, evidence.before[1]);
  evidence.now = a_heartbeat_later(evidence.before);
  for (std::size_t rank = 1; rank < 20; ++rank) stop(evidence, rank);
  REQUIRE(sentence(evidence).find(
              "ranks 1, 2, 3, 4, 5, 6, 7, 8 and 11 more of 20 (hosts a and b) died") == 0);
}

TEST_CASE("a neighbour that moves again is no fault") {
  REQUIRE(verdict(waiting(Suspicion::silence)) == std::nullopt);
}

TEST_CASE("in a time-out the rank that has begun the fewest collectives hangs") {
  auto evidence = waiting(Suspicion::timeout);
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
  auto evidence = waiting(Suspicion::timeout);
  evidence.before[1].reset();
  evidence.now[1].reset();
  REQUIRE(sentence(evidence).find("rank 1 of 3 hangs before the start; other ranks have") == 0);
}

TEST_CASE("in a time-out of ranks that are all as far, no rank is blamed") {
  auto evidence = waiting(Suspicion::timeout);
  for (auto& record : evidence.now) record->step = 0;
  REQUIRE(sentence(evidence) ==
          "all 3 ranks have waited for 400 s before the first step, in the all-gather of layers.3: "
          "the network or a device hangs" +
              kAdvice);
}

TEST_CASE("a time-out is no fault while some rank moves on") {
  auto evidence = waiting(Suspicion::timeout);
  evidence.now[2]->seconds = 299.0;
  REQUIRE(shortest_activity(evidence.now) == 299.0);
  REQUIRE(verdict(evidence) == std::nullopt);
  evidence.now[2]->seconds = 300.0;
  REQUIRE(verdict(evidence).has_value());
}

TEST_CASE("a failed collective is put to the network when every rank is alive") {
  auto evidence = waiting(Suspicion::failed_collective);
  evidence.judge = 1;
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
  REQUIRE(failure_verdict(1, 4, record_of(200, 57, "computing"), "tokens.bin: too short") ==
          "rank 1 of 4 (host a, process 200) failed at step 9, computing: tokens.bin: too short");
}

TEST_CASE("the loss of the store names who serves it and who noticed") {
  REQUIRE(lost_store_verdict("rank 0", 1, 4, record_of(200, 57, "in the barrier")) ==
          "rank 0 died, was stopped or cannot be reached: the ranks lost the store that it serves; "
          "noticed by rank 1 of 4 (host a, process 200) at step 9, in the barrier" +
              kAdvice);
}

}  // namespace
}  // namespace zebra
