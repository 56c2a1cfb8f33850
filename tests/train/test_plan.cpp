#include "train/plan.h"

#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the plan counts parameters, bytes, tokens and FLOPs") {
  const TemporaryFolder folder;
  const auto config = tiny_run(folder, {"train.precision=bf16"});
  const auto plan = plan_json(config);
  const std::int64_t embedding = 300 * 32, attention = 3 * 32 * (32 + 32 + 32),
                     feed_forward = 3 * 3 * 32 * 64;
  const std::int64_t total = 2 * embedding + attention + feed_forward + 7 * 32;
  REQUIRE(plan["parameters"]["total"] == total);
  REQUIRE(plan["layers"] == nlohmann::ordered_json({"global", "local", "global"}));
  REQUIRE(plan["state_bytes_per_rank"]["total"] == total * (2 + 4 + 4 + 8));
  REQUIRE(plan["checkpoint_bytes"] == 12 * total);
  REQUIRE(plan["tokens"] == 12 * 4 * 48);
  const double per_token = 2.0 * (attention + feed_forward + embedding) + 2 * 4 * 32 * 24.5 +
                           4 * 32 * (36.0 + 40 * 8) / 48;
  REQUIRE(plan["forward_flops_per_token"]["total"].get<double>() == Approx(per_token));
  REQUIRE(plan["training_flops"].get<double>() == Approx(3 * per_token * 12 * 4 * 48));
}

TEST_CASE("the table says the window in words and adds up") {
  const TemporaryFolder folder;
  const auto text = plan_text(tiny_run(folder));
  REQUIRE(text.find("GLG") != std::string::npos);
  REQUIRE(text.find("7 previous + itself = 8 keys") != std::string::npos);
  REQUIRE(text.find("100.0 %") != std::string::npos);
}

}  // namespace
}  // namespace zebra
