#include "watch/run_view.h"

#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/system.h"
#include "config/load.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

/// A run folder of 50 steps that was written by hand.
struct WrittenRun {
  TemporaryFolder folder;

  WrittenRun() {
    write_text(folder / "config.yaml",
               "run: {name: tiny, dir: " + folder.path().string() +
                   "}\n"
                   "model: {hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, "
                   "num_attention_heads: 1, vocab_size: 300, window_size: 4}\n"
                   "data: {tokenizer: /t, train: [{path: /d}], sequence_length: 16}\n"
                   "train: {max_steps: 50, global_batch_size: 2}\n");
    status("running");
  }

  void status(const std::string& state, const std::string& reason = "") const {
    write_text(folder / "status.json",
               nlohmann::json({{"state", state}, {"step", 1}, {"reason", reason}}).dump());
  }
  void add(const std::string& rows) const {
    std::ofstream(folder / "metrics.jsonl", std::ios::app | std::ios::binary) << rows;
  }
  void owner(const std::string& text) const { write_text(folder / "lock", text); }
};

std::string row(int step, double loss) {
  return nlohmann::json({{"step", step},
                         {"loss", loss},
                         {"tokens", step * 32},
                         {"lr", 0.5},
                         {"tokens_per_second", 64.0}})
             .dump() +
         "\n";
}

TEST_CASE("rows are read as they come, and those that a later start takes away are forgotten") {
  const WrittenRun written;
  RunView run(written.folder.path());
  CHECK_FALSE(run.refresh());
  CHECK(run.name() == "tiny");
  CHECK(run.step() == 0);
  written.add(row(1, 3.0) + row(2, 2.5).substr(0, 10));  // the second is not whole yet
  CHECK(run.refresh());
  CHECK(run.step() == 1);
  written.add(row(2, 2.5).substr(10) + R"({"step":2,"validation_loss":2.75})" + "\n");
  CHECK(run.refresh());
  CHECK_FALSE(run.refresh());
  CHECK(run.step() == 2);
  CHECK(run.losses().back().value == 2.5);
  CHECK(run.validation_losses().at(0).value == 2.75);
  CHECK(run.newest("lr") == 0.5);
  CHECK_FALSE(run.newest("mfu"));
  // 48 steps of 32 tokens at 64 a second.
  CHECK(run.seconds_left().value() == Approx(24.0));

  write_text(written.folder / "other", row(1, 3.0));
  std::filesystem::rename(written.folder / "other", written.folder / "metrics.jsonl");
  CHECK(run.refresh());
  CHECK(run.step() == 1);
  CHECK(run.validation_losses().empty());
}

TEST_CASE("lines that are no rows, and figures that are not finite, are passed over") {
  const WrittenRun written;
  RunView run(written.folder.path());
  written.add("no row\n" + row(1, 3.0) + R"({"step":2,"loss":null,"skipped":true})" + "\n[]\n");
  run.refresh();
  CHECK(run.step() == 1);
  CHECK(run.skipped_steps() == 1);
}

TEST_CASE("a run whose process is gone is told from one that trains") {
  const WrittenRun written;
  RunView run(written.folder.path());
  const auto is_abandoned_with = [&](const std::string& owner) {
    written.owner(owner);
    run.refresh();
    return run.is_abandoned();
  };
  CHECK_FALSE(is_abandoned_with("host " + host_name() + ", process " + std::to_string(::getpid())));
  CHECK(is_abandoned_with("host " + host_name() + ", process 999999999"));
  CHECK_FALSE(run.is_running());
  CHECK_FALSE(is_abandoned_with("host of-others, process 999999999"));  // nobody can know here
  CHECK_FALSE(is_abandoned_with(""));
  written.owner("host " + host_name() + ", process 999999999");
  written.status("finished", "all steps done");
  run.refresh();
  CHECK_FALSE(run.is_abandoned());
}

TEST_CASE("messages are the last lines of train.log that tell of no step") {
  const WrittenRun written;
  const std::string date = "2026-01-31 12:00:00 ";
  write_text(written.folder / "train.log",
             date + "training tiny\n" + date + "step 1/50  loss 3.0  grad 1\n" + date +
                 "warning: disk is full\n" + date + "step 2  saved it\nnot whole");
  const RunView run(written.folder.path());
  CHECK(run.messages(2) ==
        std::vector<std::string>{date + "warning: disk is full", date + "step 2  saved it"});
  CHECK(run.messages(9).size() == 3);
}

TEST_CASE("a folder that is no run's is refused") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(RunView(folder.path()), Contains("is no run folder"));
}

}  // namespace
}  // namespace zebra
