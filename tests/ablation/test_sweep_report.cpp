#include "ablation/sweep_report.h"

#include <nlohmann/json.hpp>

#include "ablation/base_run_folder.h"
#include "ablation/probes.h"
#include "base/error.h"
#include "base/json_reader.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

// Two arms in a folder that still has nothing; steps of 768 tokens.
struct Study {
  Study() : sweep(folder.sweep("axes: {model.layer_group_size: [2], run.seed: [1, 2]}\n")) {
    for (const auto& arm : sweep.arms) std::filesystem::create_directories(paths_of(arm.name).run);
  }
  ArmPaths paths_of(const std::string& arm) const { return {folder / "out", arm}; }
  nlohmann::ordered_json results() const { return results_json(sweep, collect_results(sweep)); }
  ArmPaths first() const { return paths_of(sweep.arms[0].name); }

  BaseRunFolder folder;
  Sweep sweep;
};

TEST_CASE("arms without files are unfinished and have what the closed forms give") {
  const Study study;
  const auto results = study.results();
  REQUIRE(results["name"] == "odd");
  REQUIRE(results["sequence_length"] == 64);
  REQUIRE(results["bands"]["window"] == 7);
  REQUIRE(results["bands"]["of"] == "common");
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
  REQUIRE(arm["sources"].size() == 1);
  REQUIRE(arm["sources"][0]["loss_share"] == 1.0);
  REQUIRE(arm["curve"].empty());
  REQUIRE(arm["tokens_per_second"].is_null());
  REQUIRE(arm["recall"].is_null());
}

TEST_CASE("recall that was asked otherwise is left out, with the reason") {
  const Study study;
  const auto paths = study.first();
  write_text(paths.run / "status.json", R"({"state": "finished", "step": 20, "reason": ""})");
  write_text(paths.recall(), R"({"step": 20, "asked": {}, "text": null, "probes": []})");
  const auto arm = study.results()["arms"][0];
  REQUIRE(arm["state"] == "unfinished");
  REQUIRE_THAT(arm["reason"].get<std::string>(),
               Contains("asked otherwise: ") && Contains("probe_version: null -> 2"));
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
  write_text(paths.run / "status.json", R"({"state": "finished", "step": 20, "reason": ""})");
  const auto asked = goal_of(study.sweep, study.sweep.arms[0]).asked;
  write_text(paths.recall(),
             R"({"step": 20, "asked": )" + asked + R"(, "text": null, "probes": []})");
  const auto results = study.results();
  const auto& arm = results["arms"][0];
  REQUIRE(arm["state"] == "finished");
  REQUIRE(arm["step"] == 4);
  REQUIRE(arm["curve"].size() == 3);
  REQUIRE(arm["curve"][1]["loss"].is_null());
  REQUIRE(arm["curve"][2]["tokens"] == 4 * 768.0);
  REQUIRE(arm["curve"][2]["training_flops"].get<double>() ==
          Approx(4 * 768.0 * study.sweep.arms[0].cost.flops_per_token));
  REQUIRE(arm["validation_curve"].size() == 1);
  REQUIRE(arm["validation_curve"][0]["loss"] == 4.25);
  REQUIRE(arm["tokens_per_second"] == 20);
  REQUIRE(arm["peak_memory_gib"] == 0.75);
  REQUIRE(arm["seconds"] == 8);
  REQUIRE(arm["recall"]["probes"].empty());
  REQUIRE(results["arms"][1]["state"] == "unfinished");
}

TEST_CASE("an arm of several sources tells their shares, from the rows of its steps") {
  const BaseRunFolder folder;
  const auto sweep = folder.sweep(
      "axes: {run.seed: [1, 2]}\nprobes: {training_share: 0.25, training_loss_share: 0.5}\n");
  const ArmPaths first(folder / "out", sweep.arms[0].name);
  std::filesystem::create_directories(first.run);
  write_text(
      first.metrics(),
      R"({"step": 1, "loss": 2, "sources": [{"samples": 8, "targets": 500, "loss_share": 0.6},)"
      R"({"samples": 4, "targets": 20, "loss_share": 0.4}]})"
      "\n"
      R"({"step": 2, "loss": 2, "sources": [{"samples": 10, "targets": 460, "loss_share": 0.4},)"
      R"({"samples": 2, "targets": 20, "loss_share": 0.6}]})"
      "\n");
  const auto results = results_json(sweep, collect_results(sweep));
  const auto& sources = results["arms"][0]["sources"];
  REQUIRE(sources.size() == 2);
  REQUIRE(sources[0]["name"] == "a");
  REQUIRE(sources[1]["name"] == "probes-64");
  REQUIRE(sources[1]["samples_share"].get<double>() == Approx(6.0 / 24));
  REQUIRE(sources[1]["targets_share"].get<double>() == Approx(40.0 / 1000));
  REQUIRE(sources[1]["loss_share"].get<double>() == Approx(0.5));
  REQUIRE(results["arms"][1]["sources"].empty());  // it has not begun
}

TEST_CASE("a failed arm says why and keeps its curve; broken cost is named") {
  const Study study;
  write_text(study.first().metrics(), "{\"step\":1,\"loss\":4.5}\n");
  write_text(study.first().failure, "training ended with exit status 1: diverged\n");
  const auto arm = study.results()["arms"][0];
  REQUIRE(arm["state"] == "failed");
  REQUIRE(arm["reason"] == "training ended with exit status 1: diverged");
  REQUIRE(arm["curve"].size() == 1);
  write_text(cost_file(study.folder / "out"), "{");
  REQUIRE_THROWS_AS(study.results(), InputError);
}

TEST_CASE("rows that cannot be read cost themselves; a reason need not be UTF-8") {
  const Study study;
  write_text(
      study.first().metrics(),
      "{\"step\":1,\"loss\":4.5}\n{\"step\":\"2\",\"loss\":4}\n\xff\n\n{\"step\":3,\"loss\":3}\n");
  write_text(study.first().failure, "training ended with signal 9: \xff\n");
  const auto results = study.results();
  REQUIRE(results["arms"][0]["curve"].size() == 2);
  REQUIRE(results["arms"][0]["curve"][1]["step"] == 3);
  REQUIRE_THAT(json_text(results), Catch::Matchers::Contains("signal 9: \xEF\xBF\xBD"));
}

const std::string kLines =
    "arms:\n"
    "  full: {model.self_attn_type: full}\n"
    "  striped: {model.num_hidden_layers: 16, model.window_size: 12}\n";

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

}  // namespace
}  // namespace zebra
