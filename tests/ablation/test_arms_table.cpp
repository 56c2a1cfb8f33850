#include "ablation/arms_table.h"

#include <nlohmann/json.hpp>

#include "ablation/base_run_folder.h"
#include "support/catch.h"

using namespace zebra;
using namespace zebra::testing;

namespace {

const std::string kLines =
    "arms:\n"
    "  full: {model.self_attn_type: full}\n"
    "  striped: {model.num_hidden_layers: 16, model.window_size: 12}\n";

}  // namespace

TEST_CASE("The table lists what each arm costs") {
  const BaseRunFolder folder;
  // Full: 601344 FLOPs per token of training, 15360 tokens. Striped: 16 layers of 9216 + 11520
  // parameters; k = 13, 754 / 64 keys; 3 x (294912 + 368640 + 4 x 6240 + 12 x 2262 + 9600).
  CHECK(arms_table(folder.arms(kLines)) ==
        "arm             layers    window  parameters  steps  tokens     FLOPs  of first\n"
        "full_seed-4     GGGG           -      92,976     20   15.4K  9.24e+09     1.000\n"
        "striped_seed-4  GLLL x 4      12     342,960     20   15.4K  3.34e+10     3.618\n"
        "total, 2 arms                                         30.7K  4.27e+10     4.618\n");
}

TEST_CASE("JSON has the same figures, exactly") {
  const BaseRunFolder folder;
  const auto json = arms_json(folder.arms(kLines));
  REQUIRE(json["arms"].size() == 2);
  const auto& full = json["arms"][0];
  CHECK(full["name"] == "full_seed-4");
  CHECK(full["group"] == "full");
  CHECK(full["seed"] == 4);
  CHECK(full["settings"] == nlohmann::ordered_json{{"model.self_attn_type", "full"}});
  CHECK(full["attention_pattern"] == "GGGG");
  CHECK(full["window_size"].is_null());
  CHECK(full["parameters"] == 92976);
  CHECK(full["training_flops_per_token"] == 601344.0);
  CHECK(full["training_flops"] == 601344.0 * 15360);
  CHECK(full["relative_cost"] == 1.0);
  const auto& striped = json["arms"][1];
  CHECK(striped["window_size"] == 12);
  CHECK(striped["settings"]["model.window_size"] == "12");
  CHECK(striped["training_flops_per_token"].get<double>() ==
        Approx(3.0 * (294912 + 368640 + 4 * 6240 + 12 * 2262 + 9600)).epsilon(1e-12));
  CHECK(json["total"]["arms"] == 2);
  CHECK(json["total"]["tokens"] == 30720);
  CHECK(json["total"]["training_flops"].get<double>() ==
        full["training_flops"].get<double>() + striped["training_flops"].get<double>());
}

TEST_CASE("Long patterns are shortened to what repeats") {
  CHECK(short_pattern("G") == "G");
  CHECK(short_pattern("GLLLLLLLLLLL") == "GLLLLLLLLLLL");
  CHECK(short_pattern("GLLLGLLLGLLLGLLL") == "GLLL x 4");
  CHECK(short_pattern("GLLGLLGLLGLLGL") == "GLL x 4 + GL");
  CHECK(short_pattern(std::string(13, 'L')) == "L x 13");
  CHECK(short_pattern("GLLLLLLLLLLLG") == "GLLLLLLLLLLL... (13)");
  CHECK(short_pattern("GLLLLLLLLLLLLGLLLLLLLLLLLL") == "GLLLLLLLLLLL... (26)");
}
