#include "train/metrics_log.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "base/log.h"
#include "support/catch.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

/// What people are told while `work` runs.
std::string lines_told(const std::function<void()>& work) {
  const TemporaryFolder folder;
  open_log_file(folder / "log");
  work();
  return read_file(folder / "log");
}

std::vector<nlohmann::json> rows(const std::filesystem::path& path) {
  std::istringstream lines(read_file(path));
  std::vector<nlohmann::json> rows;
  for (std::string line; std::getline(lines, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

TEST_CASE("rows hold the step's figures, non-finite ones as null") {
  const TemporaryFolder folder;
  {
    MetricsLog log(folder / "metrics.jsonl", 0);
    log.add({1, 0.1, 2.5, 1e-3, false, 64, 100.0, 0.5});
    log.add({2, std::nan(""), 3.0, 1e-3, true, 128, 100.0, 0.9});
  }
  const auto written = rows(folder / "metrics.jsonl");
  REQUIRE(written.size() == 2);
  REQUIRE(written[0]["step"] == 1);
  REQUIRE(written[0]["loss"] == 0.1);
  REQUIRE(written[0]["tokens"] == 64);
  REQUIRE_FALSE(written[0].contains("skipped"));
  REQUIRE_FALSE(written[0].contains("memory_gib"));
  REQUIRE(written[1]["loss"].is_null());
  REQUIRE(written[1]["skipped"] == true);
  REQUIRE_FALSE(written[0].contains("sources"));
}

TEST_CASE("rows hold what is known of the machine, and rows about layers stand beside them") {
  const TemporaryFolder folder;
  {
    MetricsLog log(folder / "metrics.jsonl", 0);
    StepMetrics metrics{1, 0.1, 2.5, 1e-3, false, 64, 100.0, 0.5};
    metrics.spike_score = 3.5;
    metrics.mfu = 0.375;
    metrics.memory_gib = 1.25;
    metrics.data_share = 0.0625;
    metrics.checkpoint_seconds = 2.0;
    log.add(metrics);
    log.add_layers(1, {.layers = {{{1.0, 0.5, 0.25}, LayerKind::local, 4.0, 1.0, 2.0}},
                       .embedding = {1.0, 1.0, 1.0},
                       .heads = {},
                       .log_z_rms = 1.0,
                       .log_z_max = 2.0});
  }
  const auto written = rows(folder / "metrics.jsonl");
  REQUIRE(written[0]["spike_score"] == 3.5);
  REQUIRE_FALSE(written[0].contains("grad_norm_spike_score"));
  REQUIRE(written[0]["mfu"] == 0.375);
  REQUIRE(written[0]["memory_gib"] == 1.25);
  REQUIRE(written[0]["data_share"] == 0.0625);
  REQUIRE(written[0]["checkpoint_seconds"] == 2.0);
  REQUIRE(written[1]["step"] == 1);
  REQUIRE(written[1]["local_layers"]["weight_rms"] == 0.5);
}

TEST_CASE("rows of a mixture say what each source gave, those of one source do not") {
  const TemporaryFolder folder;
  {
    MetricsLog log(folder / "metrics.jsonl", 0);
    log.add({1, 0.1, 2.5, 1e-3, false, 64, 100.0, 0.5, 0.0, {{3, 90, 3, 0.75}, {1, 6, 1, 0.25}}});
    log.add({2, 0.1, 2.5, 1e-3, false, 64, 100.0, 0.5, 0.0, {{4, 120, 4, 1.0}}});
  }
  const auto written = rows(folder / "metrics.jsonl");
  REQUIRE(written[0]["sources"] ==
          nlohmann::json::parse(R"([{"samples": 3, "targets": 90, "loss_share": 0.75},
                                    {"samples": 1, "targets": 6, "loss_share": 0.25}])"));
  REQUIRE_FALSE(written[1].contains("sources"));
}

// Where anything else makes TensorBoard's own reader stop.
TEST_CASE("TensorBoard gets the rows as they are read back: names in UTF-8, no infinity") {
  const TemporaryFolder folder;
  {
    MetricsLog log(folder / "metrics.jsonl", 0, std::nullopt, /*tensorboard=*/true);
    log.add({1, HUGE_VAL, 2.5, 1e-3, false, 64, 100.0, 0.5});
    Perplexity validation;
    validation.by_dataset = {{"a\xff", 1.5, 64}, {"b", 2.5, 64}};
    log.add_validation(1, validation);
    log.flush();
  }
  std::string events;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "tensorboard"))
    events += read_file(entry.path());
  REQUIRE_THAT(events, Contains("by_dataset/a\xef\xbf\xbd/loss") && !Contains("dataset/a\xff"));
  const auto loss = events.find(std::string("\x04loss\x15", 6));  // its name and the key of a float
  REQUIRE(loss != std::string::npos);
  float value = 0.0F;
  std::memcpy(&value, events.data() + loss + 6, sizeof value);
  REQUIRE(std::isnan(value));
}

TEST_CASE("resuming keeps the rows up to its step, byte for byte, and drops a torn line") {
  const TemporaryFolder folder;
  const std::string kept =
      "{\"step\": 1, "
      "\"loss\":2.5}\n{\"step\":2,\"loss\":2.25}\n{\"step\":2,\"validation_loss\":3}\n";
  const auto left_over = GENERATE(as<std::string>{}, "", "{\"step\":3,\"loss\":2}\n{\"step\":4",
                                  "{\"st", "{\"step\":3}\n");
  write_text(folder / "metrics.jsonl", kept + left_over);
  { MetricsLog log(folder / "metrics.jsonl", 2); }
  REQUIRE(read_file(folder / "metrics.jsonl") == kept);
}

TEST_CASE("validation rows carry the loss by position") {
  const TemporaryFolder folder;
  Perplexity validation;
  validation.nats = 30;
  validation.tokens = 10;
  validation.targets = 10;
  validation.text_bytes = 20;
  validation.by_position = {{0, 1, 5.0, 1}, {1, 2, 12.0, 4}};
  {
    MetricsLog log(folder / "metrics.jsonl", 0);
    log.add_validation(7, validation);
  }
  const auto row = rows(folder / "metrics.jsonl").at(0);
  REQUIRE(row["step"] == 7);
  REQUIRE(row["validation_loss"] == 3.0);
  REQUIRE(row["by_position"][1] == nlohmann::json({{"begin", 1}, {"end", 2}, {"loss", 3.0}}));
}

TEST_CASE("lines that are no rows are set aside and told, and the rows around them stay") {
  const TemporaryFolder folder;
  const auto path = folder / "metrics.jsonl";
  const std::string first = "{\"step\":1,\"loss\":2.5}\n", second = "{\"step\":2,\"loss\":2}\n";
  const std::string bad =
      GENERATE(as<std::string>{}, "", "{\"step\":1,\"lo", "{\"step\":\"five\"}", "{\"step\":1e999}",
               "{\"step\":1,\"x\":1e999}", "{\"step\":1.5}", "{\"step\":-1}", "{\"loss\":1}", "[1]",
               "null", "{\"step\":1,\"loss\":\"2.5\"}", std::string("\0\0\0", 3), "\xff\xfe",
               std::string(100000, '['));
  write_text(path, first + bad + "\n" + second + "{\"step\":3,\"loss\":1}\n");
  const auto told = lines_told([&] {
    MetricsLog log(path, 2);
    REQUIRE(log.rows() == 2);
  });
  REQUIRE(read_file(path) == first + second);
  REQUIRE(read_file(folder / "metrics.jsonl.unreadable") == bad + "\n");
  REQUIRE_THAT(told, Contains("line 2: ") && Contains("metrics.jsonl.unreadable"));
  write_text(path, "{\n" + first);
  { MetricsLog log(path, 2); }
  REQUIRE(read_file(folder / "metrics.jsonl.unreadable") == bad + "\n{\n");
}

TEST_CASE("rows that are missing are told") {
  const TemporaryFolder folder;
  write_text(folder / "metrics.jsonl", "{\"step\":1}\n{\"step\":2}\n");
  REQUIRE(lines_told([&] { MetricsLog(folder / "metrics.jsonl", 2, 2); }) == "");
  REQUIRE_THAT(lines_told([&] { MetricsLog(folder / "metrics.jsonl", 2, 3); }),
               Contains("2 of the 3 rows"));
  REQUIRE_THAT(lines_told([&] { MetricsLog(folder / "none.jsonl", 2, 3); }),
               Contains("0 of the 3 rows"));
}

}  // namespace
}  // namespace zebra
