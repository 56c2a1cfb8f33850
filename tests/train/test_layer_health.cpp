#include "train/layer_health.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "support/catch.h"

namespace zebra {
namespace {

TEST_CASE("a row about layers lists each figure, and the largest of each kind") {
  LayerHealth health;
  health.layers = {{{1.0, 0.5, 0.25}, LayerKind::global, 4.0, 10.0, 12.0},
                   {{2.0, 0.5, 0.125}, LayerKind::local, 6.0, 3.0, 5.0},
                   {{3.0, 0.25, 0.125}, LayerKind::local, 5.0, 4.0, NAN}};
  health.embedding = {0.5, 2.0, 0.5};
  health.log_z_rms = 3.0;
  health.log_z_max = 8.0;
  const auto row = nlohmann::json::parse(layer_health_row(7, health).dump());
  REQUIRE(row["step"] == 7);
  REQUIRE(row["layers"] == nlohmann::json::parse(R"({
    "grad_norm": [1.0, 2.0, 3.0], "weight_rms": [0.5, 0.5, 0.25],
    "update_rms": [0.25, 0.125, 0.125], "update_ratio": [0.5, 0.25, 0.5],
    "activation_rms": [4.0, 6.0, 5.0], "attention_logit_lower": [10.0, 3.0, 4.0],
    "attention_logit_upper": [12.0, 5.0, null]})"));
  REQUIRE(row["global_layers"]["grad_norm"] == 1.0);
  REQUIRE(row["local_layers"]["update_ratio"] == 0.5);
  REQUIRE(row["local_layers"]["activation_rms"] == 6.0);
  REQUIRE(row["local_layers"]["attention_logit_lower"] == 4.0);
  REQUIRE(row["local_layers"]["attention_logit_upper"].is_null());
  REQUIRE(row["embedding"] == nlohmann::json::parse(R"({
    "grad_norm": 0.5, "weight_rms": 2.0, "update_rms": 0.5, "update_ratio": 0.25})"));
  REQUIRE_FALSE(row.contains("head"));
  REQUIRE(row["output_logits"] == nlohmann::json::parse(R"({"log_z_rms": 3.0, "log_z_max": 8.0})"));

  health.layers.resize(1);
  health.heads = {{1.5, 2.0, 0.0}};
  const auto full = layer_health_row(8, health);
  REQUIRE_FALSE(full.contains("local_layers"));
  REQUIRE(full["head"]["grad_norm"] == 1.5);
}

}  // namespace
}  // namespace zebra
