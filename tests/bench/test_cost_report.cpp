#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/cost_by_length.h"
#include "support/catch.h"
#include "support/models.h"

namespace zebra {
namespace {

CostMeasurement two_layouts() {
  CostMeasurement measurement;
  measurement.device = "cpu";
  measurement.machine = "Abacus 9";
  measurement.threads = 2;
  measurement.precision = Precision::bf16;
  measurement.rows = {
      {"full",
       "GGG",
       {8, 2, 4, 2},
       {4, 6, 2, 3, 0.5},
       {4, 5, 1, 2, 0.25},
       PeakBytes{512 << 20, 256 << 20}},
      {"mix:2", "GLG", {8, 2, 4, 2}, {3, 5, 1, 1.5, 0.125}, {3, 4, 1, 2, 0.25}, std::nullopt},
      {"mix:2", "GLG", {16, 1, 4, 2}, {3, 5, 2, 1.5, 0.125}, {3, 4, 1, 2, 0.25}, std::nullopt}};
  Rates rates;
  rates.matrix_products = {2e11, 1e11};
  rates.global_attention = {5e10, 4e10};
  rates.head = 3e10;
  rates.cached_keys = {1, 6};
  rates.token_reads = {0.5, 0.75};
  measurement.rates = {rates, rates};
  return measurement;
}

std::vector<std::vector<std::string>> rows_of(const std::string& text, const std::string& heading) {
  std::istringstream lines(text.substr(text.find(heading)));
  std::vector<std::vector<std::string>> rows;
  std::string line;
  std::getline(lines, line);
  for (std::getline(lines, line); std::getline(lines, line) && !line.empty();) {
    std::istringstream cells(line);
    rows.emplace_back(std::istream_iterator<std::string>(cells),
                      std::istream_iterator<std::string>());
  }
  return rows;
}

using Rows = std::vector<std::vector<std::string>>;

TEST_CASE("the tables show measured, predicted, their ratio and the share of full") {
  const auto text = to_text(two_layouts());
  REQUIRE(text.starts_with("cpu: Abacus 9, 2 threads, bf16\n"));
  REQUIRE(
      rows_of(text, "Training:") ==
      Rows{{"full", "8", "2", "4.00", "6.00", "2.00", "12.0", "10.0", "1.20", "1.00", "1.33",
            "0.50"},
           {"mix:2", "8", "2", "3.00", "5.00", "1.00", "9.00", "8.00", "1.12", "0.75", "1.78", "-"},
           {"mix:2", "16", "1", "3.00", "5.00", "2.00", "10.0", "8.00", "1.25", "-", "1.60", "-"}});
  REQUIRE(rows_of(text, "Generation:") ==
          Rows{{"full", "8", "3.00", "2.00", "1.50", "1.00", "500", "250", "2.00", "1.00", "0.25"},
               {"mix:2", "8", "1.50", "2.00", "0.75", "0.50", "125", "250", "0.50", "0.25", "-"},
               {"mix:2", "16", "1.50", "2.00", "0.75", "-", "125", "250", "0.50", "-", "-"}});
}

TEST_CASE("columns are aligned") {
  const auto text = to_text(two_layouts());
  std::istringstream lines(text.substr(text.find("layout")));
  std::string line;
  std::getline(lines, line);
  const auto width = line.size();
  for (int row = 0; row < 3; ++row) {
    std::getline(lines, line);
    REQUIRE(line.size() == width);
  }
}

TEST_CASE("kinds of layers without a rate are not listed") {
  const auto text = to_text(two_layouts());
  REQUIRE(text.find("global attention, GFLOP/s") != std::string::npos);
  REQUIRE(text.find("local attention, GFLOP/s") == std::string::npos);
}

TEST_CASE("the JSON has the schema that scripts read") {
  const auto json = to_json(two_layouts(), testing::small_model("GLG"));
  REQUIRE(json["device"] == "cpu");
  REQUIRE(json["machine"] == "Abacus 9");
  REQUIRE(json["threads"] == 2);
  REQUIRE(json["precision"] == "bf16");
  REQUIRE(json["model"]["hidden_size"] == 24);
  REQUIRE(json["model"]["window_size"] == 5);
  REQUIRE(json["rates"]["matrix_products"] == 2e11);
  REQUIRE(json["rates"]["matrix_products_backward"] == 1e11);
  REQUIRE_FALSE(json["rates"].contains("local_attention"));
  REQUIRE(json["rates"]["token_reads"][1]["keys_per_layer"] == 6);
  REQUIRE(json["rates"]["token_reads"][1]["seconds"] == 0.75);

  REQUIRE(json["rows"].size() == 3);
  const auto& row = json["rows"][0];
  REQUIRE(row["layout"] == "full");
  REQUIRE(row["pattern"] == "GGG");
  REQUIRE(row["length"] == 8);
  REQUIRE(row["batch"] == 2);
  REQUIRE(row["seconds"] == nlohmann::ordered_json({{"forward", 4.0},
                                                    {"backward", 6.0},
                                                    {"optimizer", 2.0},
                                                    {"prefill", 3.0},
                                                    {"per_token", 0.5}}));
  REQUIRE(row["predicted_seconds"] == nlohmann::ordered_json({{"forward", 4.0},
                                                              {"backward", 5.0},
                                                              {"optimizer", 1.0},
                                                              {"prefill", 2.0},
                                                              {"per_token", 0.25}}));
  REQUIRE(row["tokens_per_second"] == Approx(16.0 / 12.0));
  REQUIRE(row["peak_memory_gib"] == Approx(0.5));
  REQUIRE(row["generation_memory_gib"] == Approx(0.25));
  REQUIRE(json["rows"][1]["peak_memory_gib"].is_null());
}

}  // namespace
}  // namespace zebra
