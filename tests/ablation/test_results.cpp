#include "ablation/results.h"

#include <nlohmann/json.hpp>

#include "ablation/base_run_folder.h"
#include "ablation/sweep_folder.h"
#include "base/error.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// Two arms in a folder that still has nothing; steps of 768 tokens.
struct Study {
  Study() : ablation(folder.ablation("axes: {model.layer_group_size: [2], run.seed: [1, 2]}\n")) {
    for (const auto& arm : ablation.arms)
      std::filesystem::create_directories(paths_of(arm.name).run);
  }
  ArmPaths paths_of(const std::string& arm) const { return {folder / "out", arm}; }
  ArmPaths first() const { return paths_of(ablation.arms[0].name); }

  BaseRunFolder folder;
  Ablation ablation;
};

TEST_CASE("arms without files are unfinished and have what the closed forms give") {
  const Study study;
  const auto results = collect_results(study.ablation);
  REQUIRE(results["name"] == "odd");
  REQUIRE(results["sequence_length"] == 64);
  REQUIRE(results["bands"]["window"] == 7);
  REQUIRE(results["cost"].is_null());
  REQUIRE(results["arms"].size() == 2);
  const auto& arm = results["arms"][1];
  REQUIRE(arm["seed"] == 2);
  REQUIRE(arm["group"] == "layer_group_size-2");
  REQUIRE(arm["state"] == "unfinished");
  REQUIRE(arm["layout"] == "GLGL");
  REQUIRE(arm["steps"] == 20);
  REQUIRE(arm["tokens"] == 20 * 768);
  // Two bytes for key and value of 48 each: two layers of 4,096 tokens, two of a window and itself.
  REQUIRE(arm["key_value_cache_bytes"]["4096"] == 2 * 2 * 48 * (2 * 4096 + 2 * 8));
  REQUIRE(arm["curve"].empty());
  REQUIRE(arm["tokens_per_second"].is_null());
  REQUIRE(arm["recall"].is_null());
}

TEST_CASE("a finished arm has its curves, its measurements and its recall") {
  const Study study;
  const auto paths = study.first();
  write_text(
      paths.metrics(),
      "{\"step\":1,\"loss\":4.5,\"tokens_per_second\":10,\"memory_gib\":0.5,\"seconds\":2}\n"
      "{\"step\":2,\"validation_loss\":4.25}\n"
      "{\"step\":3,\"loss\":null,\"tokens_per_second\":30,\"memory_gib\":0.75,\"seconds\":6}"
      "\n{\"step\":4,\"loss\":4.0,\"tokens_per_second\":20,\"memory_gib\":0.25,\"seconds\":8}"
      "\n{\"step\":5,\"lo");
  write_text(paths.run / "status.json", R"({"state": "finished", "reason": ""})");
  write_text(paths.recall(), R"({"text": null, "probes": []})");
  const auto results = collect_results(study.ablation);
  const auto& arm = results["arms"][0];
  REQUIRE(arm["state"] == "finished");
  REQUIRE(arm["step"] == 4);
  REQUIRE(arm["curve"].size() == 3);
  REQUIRE(arm["curve"][1]["loss"].is_null());
  REQUIRE(arm["curve"][2]["tokens"] == 4 * 768.0);
  REQUIRE(arm["curve"][2]["training_flops"].get<double>() ==
          Approx(4 * 768.0 * study.ablation.arms[0].cost.flops_per_token));
  REQUIRE(arm["validation_curve"].size() == 1);
  REQUIRE(arm["validation_curve"][0]["loss"] == 4.25);
  REQUIRE(arm["tokens_per_second"] == 20);
  REQUIRE(arm["peak_memory_gib"] == 0.75);
  REQUIRE(arm["seconds"] == 8);
  REQUIRE(arm["recall"]["probes"].empty());
  REQUIRE(results["arms"][1]["state"] == "unfinished");
}

TEST_CASE("a failed arm says why and keeps its curve; broken cost is named") {
  const Study study;
  write_text(study.first().metrics(), "{\"step\":1,\"loss\":4.5}\n");
  write_text(study.first().failure, "training ended with exit status 1: diverged\n");
  const auto arm = collect_results(study.ablation)["arms"][0];
  REQUIRE(arm["state"] == "failed");
  REQUIRE(arm["reason"] == "training ended with exit status 1: diverged");
  REQUIRE(arm["curve"].size() == 1);
  write_text(cost_file(study.folder / "out"), "{");
  REQUIRE_THROWS_AS(collect_results(study.ablation), InputError);
}

}  // namespace
}  // namespace zebra
