#include "distributed/job.h"

#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "base/error.h"
#include "config/load.h"
#include "support/jobs.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Texts = std::vector<std::string>;

// Of differing lengths, some empty, with line breaks and zero bytes.
std::string text_of(int rank, int round) {
  const int length = (rank * 7 + round * 13) % 5 * 400;
  if (length == 0) return "";
  return std::string(static_cast<std::size_t>(length), static_cast<char>('a' + round % 26)) + "\n" +
         std::to_string(rank) + '\0';
}

TEST_CASE("an all-gather gives every rank all texts by rank, time after time") {
  const int ranks = GENERATE(1, 2, 4);
  constexpr int kRounds = 60;
  std::vector<std::vector<Texts>> received(static_cast<std::size_t>(ranks));
  run_job(ranks, 1, [&](Job& job, TestRank& own) {
    for (int round = 0; round < kRounds; ++round) {
      received[static_cast<std::size_t>(own.rank)].push_back(
          job.all_gather(text_of(own.rank, round), "test"));
    }
  });
  std::vector<Texts> expected;
  for (int round = 0; round < kRounds; ++round) {
    Texts texts;
    for (int rank = 0; rank < ranks; ++rank) texts.push_back(text_of(rank, round));
    expected.push_back(texts);
  }
  for (const auto& rounds : received) REQUIRE(rounds == expected);
}

TEST_CASE("what only the first rank hears, and what it tells, keep apart from all-gathers") {
  const int ranks = GENERATE(1, 2, 4);
  constexpr int kRounds = 40;
  std::vector<Texts> gathered(static_cast<std::size_t>(ranks)), told = gathered;
  run_job(ranks, 1, [&](Job& job, TestRank& own) {
    const auto rank = static_cast<std::size_t>(own.rank);
    for (int round = 0; round < kRounds; ++round) {
      for (auto& text : job.gather(text_of(own.rank, round), "test"))
        gathered[rank].push_back(text);
      told[rank].push_back(job.broadcast(text_of(own.rank, round), "test"));
      if (round % 3 == 0) job.all_gather("between", "test");
    }
  });
  Texts of_all, of_first;
  for (int round = 0; round < kRounds; ++round) {
    for (int rank = 0; rank < ranks; ++rank) of_all.push_back(text_of(rank, round));
    of_first.push_back(text_of(0, round));
  }
  REQUIRE(gathered.front() == of_all);
  for (int rank = 0; rank < ranks; ++rank) {
    if (rank > 0) REQUIRE(gathered[static_cast<std::size_t>(rank)].empty());
    REQUIRE(told[static_cast<std::size_t>(rank)] == of_first);
  }
}

TEST_CASE("ranks know who they are") {
  std::vector<int> seen(3);
  run_job(3, 1, [&](Job& job, TestRank& own) {
    seen[static_cast<std::size_t>(own.rank)] = job.rank() == own.rank && job.ranks() == 3 &&
                                               job.is_first() == (own.rank == 0) &&
                                               job.launch().local_rank == own.rank;
  });
  REQUIRE(seen == std::vector<int>{1, 1, 1});
}

// What together() throws on each rank when those with a problem throw it; "" where nothing.
Texts outcomes_of(const Texts& problems) {
  Texts outcomes(problems.size());
  run_job(static_cast<int>(problems.size()), 1, [&](Job& job, TestRank& own) {
    const auto rank = static_cast<std::size_t>(own.rank);
    try {
      job.together("test", [&] {
        if (!problems[rank].empty()) throw InputError(problems[rank]);
      });
    } catch (const InputError& error) {
      outcomes[rank] = error.what();
    } catch (const ReportedByFirstRank&) {
      outcomes[rank] = "reported by the first rank";
    }
  });
  return outcomes;
}

TEST_CASE("work without a problem ends well on all ranks") {
  REQUIRE(outcomes_of({"", "", ""}) == Texts{"", "", ""});
}

TEST_CASE("the first rank says what went wrong on any; the others end quietly") {
  const std::string quiet = "reported by the first rank";
  REQUIRE(outcomes_of({"no file", "no file", "no file"}) == Texts{"no file", quiet, quiet});
  REQUIRE(outcomes_of({"", "no file", ""}) == Texts{"rank 1: no file", quiet, quiet});
  REQUIRE(outcomes_of({"no file", "", "no file"}) == Texts{"ranks 0, 2: no file", quiet, quiet});
  REQUIRE(outcomes_of({"a", "", "b", "b"}) ==
          Texts{"rank 0: a\nranks 2, 3: b", quiet, quiet, quiet});
  REQUIRE(outcomes_of({"no file"}) == Texts{"no file"});
}

TEST_CASE("another error than the user's is the rank's own") {
  Job alone{Launch{}};
  REQUIRE_THROWS_AS(alone.together("test", [] { throw std::out_of_range("bug"); }),
                    std::out_of_range);
}

TEST_CASE("a process on its own is a job") {
  Job job{Launch{}};
  REQUIRE(job.rank() == 0);
  REQUIRE(job.ranks() == 1);
  REQUIRE(job.is_first());
  REQUIRE(job.all_gather("text", "test") == Texts{"text"});
  job.begin("computing");
  job.begin_collective("all-reduce of the loss");
  job.end_collective();
  job.set_step(3);
  job.set_timeout(1.0);
  job.finish();
}

TEST_CASE("jobs of other names do not meet, nor do the stores of one job") {
  Texts first(2), second(2);
  run_job(2, 1, [&](Job& job, TestRank& own) {
    const auto a = job.store("a"), b = job.store("b");
    const auto bytes = [](const std::string& text) {
      return std::vector<std::uint8_t>(text.begin(), text.end());
    };
    if (own.rank == 0) {
      a->set("key", bytes("of a"));
      b->set("key", bytes("of b"));
    }
    const auto of_a = a->get("key"), of_b = b->get("key");
    first[static_cast<std::size_t>(own.rank)] = {of_a.begin(), of_a.end()};
    second[static_cast<std::size_t>(own.rank)] = {of_b.begin(), of_b.end()};
  });
  REQUIRE(first == Texts{"of a", "of a"});
  REQUIRE(second == Texts{"of b", "of b"});
  std::vector<int> finds_old_keys(2);
  run_job(2, 1, [&](Job& job, TestRank& own) {
    finds_old_keys[static_cast<std::size_t>(own.rank)] = job.store("a")->check({"key"});
  });
  REQUIRE(finds_old_keys == std::vector<int>{0, 0});
}

// What a process hears that comes to the meeting place of a job of two ranks.
std::string heard_by(Launch stranger, const std::string& name) {
  std::string message;
  run_on_ranks(2, 1, [&](TestRank& own) {
    auto launch = launch_of(own.rank, 2, name);
    launch.job = "4711.0";
    Job job(launch);
    if (own.rank == 0) {
      try {
        Job intruder(stranger);
      } catch (const RunError& error) {
        message = error.what();
      }
    }
    job.all_gather("", "whether the stranger has heard");
    job.finish();
  });
  return message;
}

TEST_CASE("a rank that comes to the meeting place of another job hears it") {
  auto twin = launch_of(1, 2, "twin"), larger = launch_of(2, 3, "larger"),
       other = launch_of(1, 2, "other");
  twin.job = larger.job = "4711.0";
  other.job = "4712.0";
  using Catch::Matchers::Contains;
  REQUIRE_THAT(heard_by(twin, "twin"), Contains("such a rank is there already"));
  REQUIRE_THAT(heard_by(larger, "larger"),
               Contains("rank 2 of 3 ranks of job 4711.0: there are 2 ranks of job 4711.0"));
  REQUIRE_THAT(
      heard_by(other, "other"),
      Contains("of job 4712.0: there are 2 ranks of job 4711.0") && Contains("MASTER_PORT"));
}

TEST_CASE("texts that everybody has read are forgotten") {
  const c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      TextCollectives texts(store, rank, 2);
      for (int round = 0; round < 50; ++round) {
        texts.gather("text");
        texts.broadcast("text");
        texts.all_gather("text");
      }
    });
  }
  for (auto& thread : threads) thread.join();
  REQUIRE(store->getNumKeys() == 2);  // those of the last all-gather
}

TEST_CASE("a single rank hears itself") {
  TextCollectives texts(nullptr, 0, 1);
  REQUIRE(texts.is_first());
  REQUIRE(texts.all_gather("a") == Texts{"a"});
  REQUIRE(texts.gather("b") == Texts{"b"});
  REQUIRE(texts.broadcast("c") == "c");
}

Config config_with(const std::vector<std::string>& overrides = {}) {
  return resolve(
      parse_run_file("run: {dir: run}\nmodel: {preset: zebra-tiny}\n"
                     "data: {tokenizer: tok.model, train: [{path: t}], sequence_length: 64}\n"
                     "train: {max_steps: 3, global_batch_size: 2}\n",
                     "c.yaml", overrides),
      300);
}

// What check_consistency() throws on each rank; "" where nothing.
std::vector<std::string> disagreements(const std::vector<RunFacts>& facts) {
  std::vector<std::string> messages(facts.size());
  run_job(static_cast<int>(facts.size()), 1, [&](Job& job, TestRank& own) {
    const auto rank = static_cast<std::size_t>(own.rank);
    try {
      check_consistency(job, facts[rank]);
    } catch (const InputError& error) {
      messages[rank] = error.what();
    }
  });
  return messages;
}

TEST_CASE("equal facts are consistent") {
  const auto facts = run_facts(config_with());
  REQUIRE(disagreements({facts, facts, run_facts(config_with())}) ==
          std::vector<std::string>{"", "", ""});
  REQUIRE(disagreements({facts}) == std::vector<std::string>{""});
}

TEST_CASE("a rank that differs from the first is told in what") {
  auto facts = run_facts(config_with());
  facts.emplace_back("dataset t", "fingerprint");
  auto other_build = facts, other_dataset = facts, more = facts, fewer = facts;
  other_build.front().second += " of another day";
  other_dataset.back().second = "another";
  more.emplace_back("dataset v", "fingerprint");
  fewer.pop_back();
  auto other_section = run_facts(config_with({"optimizer.lr=0.5"}));
  other_section.emplace_back("dataset t", "fingerprint");

  const auto messages =
      disagreements({facts, other_build, other_dataset, more, fewer, other_section});
  const auto says = [](const std::string& what) {
    return Catch::Matchers::StartsWith("differs from rank 0 in " + what + "; start all ranks");
  };
  REQUIRE(messages[0].empty());
  REQUIRE_THAT(messages[1], says("the build (zebra --version)"));
  REQUIRE_THAT(messages[2], says("dataset t"));
  REQUIRE_THAT(messages[3], says("dataset v"));
  REQUIRE_THAT(messages[4], says("dataset t"));
  REQUIRE_THAT(messages[5], says("the resolved section optimizer"));
}

TEST_CASE("everything that differs is named") {
  const auto messages = disagreements(
      {run_facts(config_with()), run_facts(config_with({"run.seed=9", "train.max_steps=4"}))});
  REQUIRE_THAT(messages[1], Catch::Matchers::Contains(
                                "in the resolved section run, the resolved section train;"));
}

TEST_CASE("the facts of a run change in the section that changed alone") {
  const auto facts = run_facts(config_with());
  REQUIRE(facts.front().first == "the build (zebra --version)");
  const auto override_and_section =
      GENERATE(table<std::string, std::string>({{"run.seed=9", "run"},
                                                {"model.window_size=3", "model"},
                                                {"data.document_mask=false", "data"},
                                                {"optimizer.weight_decay=0.7", "optimizer"},
                                                {"schedule.warmup_steps=1", "schedule"},
                                                {"train.grad_clip=0.3", "train"},
                                                {"parallel.timeout=77", "parallel"},
                                                {"checkpoint.keep_last=9", "checkpoint"},
                                                {"eval.max_tokens=77", "eval"},
                                                {"logging.every_steps=7", "logging"}}));
  const auto changed = run_facts(config_with({std::get<0>(override_and_section)}));
  REQUIRE(changed.size() == facts.size());
  for (std::size_t i = 0; i < facts.size(); ++i) {
    INFO(facts[i].first);
    REQUIRE(changed[i].first == facts[i].first);
    const bool is_the_section =
        facts[i].first == "the resolved section " + std::get<1>(override_and_section);
    REQUIRE((changed[i].second != facts[i].second) == is_the_section);
  }
}

}  // namespace
}  // namespace zebra
