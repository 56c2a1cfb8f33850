#include "distributed/agreement.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/load.h"
#include "support/jobs.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

Config config_with(const std::vector<std::string>& overrides = {}) {
  return resolve(
      parse_run_file("run: {dir: run}\nmodel: {preset: zebra-tiny}\n"
                     "data: {tokenizer: tok.model, train: [{path: t}], sequence_length: 64}\n"
                     "train: {max_steps: 3, global_batch_size: 2}\n",
                     "c.yaml", overrides),
      300);
}

// What agree() throws on each rank; "" where nothing.
std::vector<std::string> disagreements(const std::vector<RunFacts>& facts) {
  std::vector<std::string> messages(facts.size());
  run_job(static_cast<int>(facts.size()), 1, [&](Job& job, TestRank& own) {
    const auto rank = static_cast<std::size_t>(own.rank);
    try {
      agree(job, facts[rank]);
    } catch (const InputError& error) {
      messages[rank] = error.what();
    }
  });
  return messages;
}

TEST_CASE("equal facts agree") {
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
