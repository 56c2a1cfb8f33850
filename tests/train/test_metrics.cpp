#include "train/metrics.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

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
  REQUIRE(written[0]["memory_gib"] > 0.0);
  REQUIRE(written[1]["loss"].is_null());
  REQUIRE(written[1]["skipped"] == true);
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

void check(torch::Device device) {
  auto values = torch::arange(3, torch::TensorOptions(device).dtype(torch::kFloat64)) + 0.1;
  const DeferredValues deferred(values);
  values.fill_(-1.0);  // behind the copy
  REQUIRE(deferred.get() == std::vector<double>{0.1, 1.1, 2.1});
  REQUIRE(deferred.get() == std::vector<double>{0.1, 1.1, 2.1});
}

TEST_CASE("deferred values are those at the time of the copy") { check(torch::kCPU); }

TEST_CASE("deferred values of a GPU", "[.][cuda]") { check(torch::kCUDA); }

}  // namespace
}  // namespace zebra
