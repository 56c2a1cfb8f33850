#include "watch/screen.h"

#include <algorithm>

#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

std::size_t letters_of(const std::string& text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

struct WatchedRun {
  TemporaryFolder folder;

  WatchedRun() {
    write_text(folder / "config.yaml",
               "run: {name: tiny, dir: " + folder.path().string() +
                   "}\n"
                   "model: {hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, "
                   "num_attention_heads: 1, vocab_size: 300, window_size: 4}\n"
                   "data: {tokenizer: /t, train: [{path: /d}], sequence_length: 16}\n"
                   "train: {max_steps: 2000, global_batch_size: 2}\n");
    write_text(folder / "status.json", R"({"state": "running", "step": 0, "reason": ""})");
    std::string rows;
    for (int step = 1; step <= 500; ++step) {
      rows += "{\"step\":" + std::to_string(step) +
              ",\"loss\":" + std::to_string(2.0 + 3.0 / step) +
              ",\"grad_norm\":0.5,\"lr\":0.001,\"tokens\":" + std::to_string(32 * step) +
              ",\"tokens_per_second\":320.0}\n";
    }
    write_text(folder / "metrics.jsonl", rows + "{\"step\":500,\"validation_loss\":2.125}\n");
    write_text(folder / "train.log", "2026-01-31 12:00:00 warning: \x1b[31mred\n");
  }

  std::vector<std::string> screen(std::size_t columns, std::size_t rows, bool unicode) const {
    RunView run(folder.path());
    run.refresh();
    return draw_screen(run, {columns, rows}, unicode);
  }
};

TEST_CASE("a screen keeps to its size, whatever that is") {
  const WatchedRun run;
  for (const std::size_t columns : {1, 20, 80, 160}) {
    for (const std::size_t rows : {1, 5, 12, 24, 60}) {
      for (const bool unicode : {false, true}) {
        const auto lines = run.screen(columns, rows, unicode);
        INFO(columns << " x " << rows);
        CHECK(lines.size() <= rows);
        for (const auto& line : lines) CHECK(letters_of(line) <= columns);
      }
    }
  }
}

TEST_CASE("a screen says how far the run is, its figures and its last messages") {
  const auto lines = WatchedRun().screen(80, 40, false);
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  CHECK_THAT(text, Contains("tiny: running, step 500 of 2,000"));
  // 1,500 steps of 32 tokens at 320 a second.
  CHECK_THAT(text, Contains("25.0 %, 2m 30s left"));
  CHECK_THAT(text, Contains("loss           2.0060"));
  CHECK_THAT(text, Contains("2.1250 at step 500, best 2.1250"));
  CHECK_THAT(text, Contains("warning: \\x1b[31mred"));
  CHECK_THAT(text, Contains("step 1 ") && Contains("*"));
}

TEST_CASE("an end is told with its reason") {
  const WatchedRun written;
  write_text(written.folder / "status.json",
             R"({"state": "failed", "step": 500, "reason": "diverged: so it is"})");
  RunView run(written.folder.path());
  run.refresh();
  CHECK(state_line(run) == "failed at step 500 of 2,000: diverged: so it is");
  CHECK_THAT(newest_line(run), Contains("step 500/2000  loss 2.0060"));
}

TEST_CASE("a long reason and long messages go on in the next line") {
  const WatchedRun run;
  write_text(
      run.folder / "status.json",
      R"({"state": "failed", "step": 500, "reason": "the loss is not finite in eight steps one )"
      R"(after another; the newest checkpoint is step 400"})");
  write_text(run.folder / "train.log", "2026-01-31 12:00:00 first\n2026-01-31 12:00:00 saved " +
                                           std::string(80, 'x') + " at last\n");
  const auto lines = run.screen(60, 24, false);
  REQUIRE(lines.size() > 10);
  CHECK(lines[0] == "tiny: failed at step 500 of 2,000: the loss is not finite in");
  CHECK(lines[1] == "  eight steps one after another; the newest checkpoint is");
  CHECK(lines[2] == "  step 400");
  const std::vector<std::string> last(lines.end() - 3, lines.end());
  CHECK(last == std::vector<std::string>{"2026-01-31 12:00:00 first",
                                         "2026-01-31 12:00:00 saved " + std::string(34, 'x'),
                                         "  " + std::string(46, 'x') + " at last"});
}

TEST_CASE("a terminal of 80 by 24 has room for the curve") {
  const auto lines = WatchedRun().screen(80, 24, false);
  CHECK(std::ranges::find(lines, "loss, o validation") != lines.end());
}

}  // namespace
}  // namespace zebra
