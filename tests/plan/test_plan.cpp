#include "plan/plan.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "support/catch.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

Hardware eight_h100() { return {{find_gpu("h100"), network_bytes_per_second("400gb"), 8}, 0.4}; }

TEST_CASE("the plan counts parameters, bytes, tokens and FLOPs") {
  const TemporaryFolder folder;
  const auto config = tiny_run(folder, {"train.precision=bf16"});
  const auto plan = to_json(make_plan(config));
  const std::int64_t embedding = 300 * 32, attention = 3 * 32 * (32 + 32 + 32),
                     feed_forward = 3 * 3 * 32 * 64, norms = 7 * 32;
  const std::int64_t total = 2 * embedding + attention + feed_forward + norms;
  REQUIRE(plan["parameters"]["total"] == total);
  REQUIRE(plan["layers"] == nlohmann::ordered_json({"global", "local", "global"}));
  // In memory each of the norms takes 64 elements.
  REQUIRE(plan["state_bytes_per_rank"]["total"] == (total + norms) * (2 + 4 + 4 + 8));
  REQUIRE(plan["bytes_sent_per_rank_and_step"]["total"] == 0.0);
  REQUIRE(plan["checkpoint_bytes"] == 12 * total);
  REQUIRE(plan["host_copy_bytes_per_rank"] == 12 * total);
  REQUIRE(plan["tokens"] == 12 * 4 * 48);
  const double per_token = 2.0 * (attention + feed_forward + embedding) + 2 * 4 * 32 * 24.5 +
                           4 * 32 * (36.0 + 40 * 8) / 48;
  REQUIRE(plan["forward_flops_per_token"]["total"].get<double>() == Approx(per_token));
  REQUIRE(plan["training_flops"].get<double>() == Approx(3 * per_token * 12 * 4 * 48));
  REQUIRE_FALSE(plan.contains("seconds_per_step"));
}

TEST_CASE("the parts of the state add up, whatever the ranks share") {
  const TemporaryFolder folder;
  const std::string mode = GENERATE("none", "optimizer", "gradients", "full");
  const auto config =
      tiny_run(folder, {"parallel.sharding=" + mode, "parallel.reduce_precision=bf16",
                        "train.precision=bf16", "train.micro_batch_size=1"});
  const auto plan = to_json(make_plan(config, 4));
  for (const std::string part : {"state_bytes_per_rank", "bytes_sent_per_rank_and_step",
                                 "activation_bytes_per_rank", "forward_flops_per_token"}) {
    double sum = 0;
    for (const auto& [name, value] : plan[part].items()) {
      if (name != "total") sum += value.get<double>();
    }
    REQUIRE(plan[part]["total"].get<double>() == Approx(sum));
    REQUIRE(sum > 0);
  }
  REQUIRE(plan["ranks"]["count"] == 4);
  REQUIRE(4 * plan["host_copy_bytes_per_rank"].get<std::int64_t>() == plan["checkpoint_bytes"]);
  REQUIRE(plan["ranks"]["shards"] == (mode == "none" ? 1 : 4));
  REQUIRE(plan["ranks"]["micro_batches_per_step"] == 1);
}

TEST_CASE("recomputation adds FLOPs to a step, not to the model") {
  const TemporaryFolder folder;
  const auto again = [&](const std::string& mode) {
    const auto plan =
        to_json(make_plan(tiny_run(folder, {"train.activation_checkpointing=" + mode})));
    REQUIRE(plan["training_flops_per_token"].get<double>() ==
            Approx(3 * plan["forward_flops_per_token"]["total"].get<double>()));
    return plan["recomputed_flops_per_token"].get<double>();
  };
  const auto flops = to_json(make_plan(tiny_run(folder)))["forward_flops_per_token"];
  const double matrices = flops["projections"].get<double>() + flops["feed_forward"].get<double>();
  const double global = flops["global_attention"], local = flops["local_attention"];
  REQUIRE(again("none") == 0.0);
  REQUIRE(again("full") == Approx(matrices + global + local));
  REQUIRE(again("selective") == Approx(matrices));
  REQUIRE(again("every_2") == Approx(matrices * 2 / 3 + global));  // the first and the third, GLG
}

TEST_CASE("the table says the window in words and adds up") {
  const TemporaryFolder folder;
  const auto text = to_text(make_plan(tiny_run(folder)));
  REQUIRE_THAT(text, Contains("GLG") && Contains("7 previous + itself = 8 keys"));
  REQUIRE_THAT(text, Contains("100.0 %"));
  REQUIRE_THAT(text, !Contains("Sent by each rank") && !Contains("A step on"));
}

TEST_CASE("a window that grows is priced by its steps, and said in words") {
  const TemporaryFolder folder;
  const auto with = [&](const std::string& override) {
    return make_plan(tiny_run(folder, {"train.precision=bf16", override}), 1, eight_h100());
  };
  const auto flops = [](const Plan& plan) {
    return to_json(plan)["training_flops_per_token"].get<double>();
  };
  const auto narrow = with("model.window_size=2"), wide = with("model.window_size=7"),
             stages = with("model.window_schedule=[{until: 0.25, window: 2}]"),
             linear = with("schedule.window_warmup_steps=3");
  REQUIRE(flops(stages) == Approx((3 * flops(narrow) + 9 * flops(wide)) / 12));
  REQUIRE(to_json(stages)["forward_flops_per_token_at_window_size"].get<double>() ==
          Approx(flops(wide) / 3));
  REQUIRE_FALSE(to_json(wide).contains("forward_flops_per_token_at_window_size"));
  REQUIRE(flops(linear) < flops(wide));
  // Alone, a rank does nothing but compute.
  REQUIRE(stages.time->step.step() ==
          Approx((3 * narrow.time->step.step() + 9 * wide.time->step.step()) / 12));
  REQUIRE_THAT(to_text(stages), Contains("in training") && Contains("2 to step 3, then 7") &&
                                    Contains("averaged over the windows of the training"));
  REQUIRE_THAT(to_text(linear), Contains("growing linearly over 3 steps"));
  REQUIRE_THAT(to_text(wide), !Contains("in training") && !Contains("averaged"));
}

TEST_CASE("the table says in words what ranks share, what hides, and what fits") {
  const TemporaryFolder folder;
  const auto config = tiny_run(folder, {"parallel.sharding=full", "parallel.replicas=2",
                                        "train.micro_batch_size=1", "train.precision=bf16"});
  const auto text = to_text(make_plan(config, 4, eight_h100()));
  REQUIRE_THAT(text, Contains("2 copies of the state, each split among 2"));
  REQUIRE_THAT(text, Contains("in a step of 1 micro-batch\n"));
  REQUIRE_THAT(text, Contains("arithmetic, not measured") && Contains("assumed: 40.0 %"));
  REQUIRE_THAT(text, Contains("of collectives: "));
  REQUIRE_THAT(text, Contains("of 80.00 GiB, state and activations: fits"));

  auto slow = eight_h100(), small = eight_h100();
  slow.cluster.gpu.link_bytes_per_second = 1.0;
  REQUIRE_THAT(to_text(make_plan(config, 4, slow)), Contains("of collectives: not hidden"));
  small.cluster.gpu.memory_bytes = 1000;
  REQUIRE_THAT(to_text(make_plan(config, 4, small)),
               Contains("state and activations: does not fit"));
}

TEST_CASE("the utilization is that of the model's FLOPs") {
  const TemporaryFolder folder;
  const auto config = tiny_run(folder, {"train.precision=bf16"});
  auto hardware = eight_h100();
  hardware.efficiency = 0.25;
  const auto plan = to_json(make_plan(config, 1, hardware));  // alone: nothing but compute
  REQUIRE(plan["tokens_per_second"].get<double>() *
              plan["training_flops_per_token"].get<double>() ==
          Approx(0.25 * 989e12));
  REQUIRE_THAT(to_text(make_plan(config, 1, hardware)),
               Contains("model FLOPs at 25.0 % of the peak"));
}

TEST_CASE("a plan for ranks that the replicas do not divide is refused") {
  const TemporaryFolder folder;
  const auto config = tiny_run(folder, {"parallel.sharding=full", "parallel.replicas=2"});
  REQUIRE_THROWS_AS(to_json(make_plan(config, 3)), InputError);
}

}  // namespace
}  // namespace zebra
