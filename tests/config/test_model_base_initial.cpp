#include "config/model_base.h"

#include <stdlib.h>

#include <filesystem>

#include "config/run_file.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

using namespace zebra;
using Catch::Matchers::Contains;
using zebra::testing::TemporaryFolder;
using zebra::testing::write_text;

namespace {

/// The folder of a run with every model key far from its default, trained on 40 tokens at a time
/// from weights that are gone by now.
class OriginRun {
 public:
  explicit OriginRun(std::vector<std::string> overrides = {}) {
    overrides.insert(overrides.begin(),
                     {"run.dir=" + path().string(), "data.sequence_length=40", "optimizer.lr=0.5",
                      "model.attention_pattern=LGLLG", "model.num_key_value_heads=3",
                      "model.vocab_size=301", "model.rms_norm_eps=1e-4", "model.rope_theta=777",
                      "model.qk_norm=true", "model.tie_word_embeddings=true"});
    RunFile config = config_with(overrides);
    config.model.init_from = "/gone";
    write_text(path() / "config.yaml", to_yaml(config));
  }

  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

/// A run file without a model section.
const std::string kAdaptation =
    "run: {dir: runs/adapted}\n"
    "data: {tokenizer: tok.model, train: [{path: data/a}], sequence_length: 33}\n"
    "train: {max_steps: 21, global_batch_size: 12}\n";

RunFile started_from(const std::string& path, std::vector<std::string> overrides = {}) {
  overrides.insert(overrides.begin(), "model.init_from=" + path);
  return parse_run_file(kAdaptation, "run.yaml", overrides);
}

RunFile started_from(const OriginRun& origin, const std::vector<std::string>& overrides = {}) {
  return started_from(origin.path().string(), overrides);
}

std::string refusal_from(const std::string& path, std::vector<std::string> overrides = {}) {
  overrides.insert(overrides.begin(), "model.init_from=" + path);
  return refusal_of(kAdaptation, overrides);
}

}  // namespace

TEST_CASE("Shape, layout and positions are the origin's, and nothing else is") {
  const OriginRun origin;
  const RunFile config = started_from(origin);
  const ModelSection& model = config.model;
  CHECK(model.init_from == origin.path());
  CHECK(model.hidden_size == 48);
  CHECK(model.intermediate_size == 80);
  CHECK(model.num_hidden_layers == 5);
  CHECK(model.num_attention_heads == 6);
  CHECK(model.num_key_value_heads == 3);
  CHECK(model.head_dim == 8);
  CHECK(model.vocab_size == 301);
  CHECK(model.rms_norm_eps == 1e-4);
  CHECK(model.rope_theta == 777.0);
  CHECK(model.qk_norm == QkNorm::head);
  CHECK(model.tie_word_embeddings);
  CHECK(model.window_size == 7);
  CHECK(model.attention_pattern == "LGLLG");
  CHECK(model.max_position_embeddings == 40);
  CHECK(config.data.sequence_length == 33);
  CHECK(config.optimizer.lr == OptimizerSection().lr);
  CHECK(config.run.dir == std::filesystem::absolute("runs/adapted"));
}

TEST_CASE("The stages of the origin's window were part of its training alone") {
  const OriginRun origin({"model.window_schedule=[{until: 0.5, window: 3}]"});
  CHECK(started_from(origin).model.window_schedule.empty());
  const auto own = started_from(origin, {"model.window_schedule=[{until: 0.2, window: 2}]"});
  REQUIRE(own.model.window_schedule.size() == 1);
  CHECK(own.model.window_schedule[0].window == 2);
}

TEST_CASE("Keys beside init_from win, wherever each is written") {
  const OriginRun origin;
  CHECK(started_from(origin, {"model.rms_norm_eps=1e-6"}).model.rms_norm_eps == 1e-6);
  const std::string model =
      "model: {rms_norm_eps: 1.0e-6, init_from: " + origin.path().string() + ", qk_norm: false}\n";
  const RunFile config = parse_run_file(kAdaptation + model, "run.yaml", {"model.rope_theta=5"});
  CHECK(config.model.rms_norm_eps == 1e-6);
  CHECK(config.model.qk_norm == QkNorm::none);
  CHECK(config.model.rope_theta == 5.0);
  CHECK(config.model.hidden_size == 48);
  const RunFile without = parse_run_file(
      kRunFile, "run.yaml", {"model.init_from=" + origin.path().string(), "model.init_from="});
  CHECK_FALSE(without.model.init_from);
  CHECK(without.model.qk_norm == QkNorm::none);
}

TEST_CASE("The origin's layout gives way to any layout key, and stays under the others") {
  const OriginRun origin;
  const auto pattern = [&](const std::vector<std::string>& overrides) {
    return *started_from(origin, overrides).model.attention_pattern;
  };
  CHECK(pattern({"model.attention_pattern=GL"}) == "GLGLG");
  CHECK(pattern({"model.self_attn_type=full"}) == "GGGGG");
  CHECK(pattern({"model.self_attn_type=local"}) == "LLLLL");
  CHECK(pattern({"model.layer_group_size=3"}) == "GLLGL");
  CHECK(pattern({"model.global_layer=last"}) == "LLLGL");
  CHECK(pattern({"model.window_size=3"}) == "LGLLG");
  CHECK(pattern({"model.always_global=first"}) == "GGLLG");
  CHECK(started_from(origin, {"model.layer_group_size=3"}).model.window_size == 7);
  CHECK(started_from(origin, {"model.window_size=3"}).model.window_size == 3);
}

TEST_CASE("A layout with windows needs one where the origin has none") {
  const OriginRun origin(
      {"model.self_attn_type=full", "model.attention_pattern=", "model.window_size="});
  CHECK(started_from(origin).model.attention_pattern == "GGGGG");
  CHECK_THAT(refusal_from(origin.path().string(), {"model.layer_group_size=2"}),
             Contains("model.window_size: missing, but 2 of 5 layers are local"));
}

TEST_CASE("Under rope_scaling the origin's longest sequence is the original one") {
  const OriginRun origin;
  const RunFile config = started_from(
      origin, {"model.rope_scaling={type: yarn, factor: 4}", "data.sequence_length=160"});
  CHECK(config.model.rope_scaling.type == RopeScaling::yarn);
  CHECK(config.model.rope_scaling.factor == 4.0);
  CHECK(config.model.rope_scaling.original_max_position_embeddings == 40);
  CHECK(config.model.max_position_embeddings == 160);

  const RunFile given = started_from(
      origin, {"model.rope_scaling={type: dynamic, original_max_position_embeddings: 20}",
               "model.max_position_embeddings=99"});
  CHECK(given.model.rope_scaling.original_max_position_embeddings == 20);
  CHECK(given.model.max_position_embeddings == 99);

  const RunFile by_key =
      started_from(origin, {"model.rope_scaling.type=linear", "model.rope_scaling.factor=3"});
  CHECK(by_key.model.rope_scaling.original_max_position_embeddings == 40);
  CHECK(by_key.model.max_position_embeddings == 33);
}

TEST_CASE("A model that was stretched before keeps its first length as the original one") {
  const OriginRun origin(
      {"model.rope_scaling={type: yarn, factor: 2, original_max_position_embeddings: 20, "
       "beta_fast: 16}"});
  CHECK(started_from(origin).model.rope_scaling.original_max_position_embeddings == 20);
  CHECK(started_from(origin).model.max_position_embeddings == 40);
  const RunFile config =
      started_from(origin, {"model.rope_scaling.factor=8", "data.sequence_length=160"});
  CHECK(config.model.rope_scaling.type == RopeScaling::yarn);
  CHECK(config.model.rope_scaling.beta_fast == 16.0);
  CHECK(config.model.rope_scaling.original_max_position_embeddings == 20);
  CHECK(config.model.max_position_embeddings == 160);
}

TEST_CASE("Without rope_scaling a longer sequence must be asked for") {
  const OriginRun origin;
  CHECK_THAT(refusal_from(origin.path().string(), {"data.sequence_length=41"}),
             Contains("model.max_position_embeddings: 40 is less than data.sequence_length (41)") &&
                 Contains("set model.rope_scaling"));
  CHECK(started_from(origin, {"data.sequence_length=41", "model.max_position_embeddings=41"})
            .model.rope_scaling.type == RopeScaling::none);
}

TEST_CASE(
    "A step of a run, its best one, a checkpoint, a relative path and a variable are understood") {
  const OriginRun origin;
  const std::string run = origin.path().string();
  CHECK(started_from(run + "@200").model.num_key_value_heads == 3);
  CHECK(started_from(run + "@200").model.init_from == run + "@200");
  CHECK(started_from(run + "@best").model.num_key_value_heads == 3);
  CHECK(started_from(run + "/").model.init_from == run);

  const auto checkpoint = origin.path() / "checkpoints" / "step-00000200";
  std::filesystem::create_directories(checkpoint);
  std::filesystem::copy_file(origin.path() / "config.yaml", checkpoint / "config.yaml");
  CHECK(started_from(checkpoint.string()).model.num_key_value_heads == 3);

  const std::string relative = std::filesystem::relative(origin.path()).string();
  CHECK(started_from(relative + "@200").model.init_from == run + "@200");
  ::setenv("ZEBRA_TEST_ORIGIN", run.c_str(), 1);
  CHECK(started_from("${ZEBRA_TEST_ORIGIN}@200").model.init_from == run + "@200");
  CHECK(started_from("${ZEBRA_TEST_ORIGIN}").model.num_key_value_heads == 3);
}

TEST_CASE("A folder whose own name has an @ is no step") {
  const TemporaryFolder parent;
  const OriginRun origin;
  std::filesystem::create_directory(parent / "run@1");
  std::filesystem::copy_file(origin.path() / "config.yaml", parent / "run@1/config.yaml");
  CHECK(started_from((parent / "run@1").string()).model.num_key_value_heads == 3);
  CHECK(started_from((parent / "run@1@40").string()).model.num_key_value_heads == 3);
}

TEST_CASE("A resolved file needs its origin no more, and is the same without it") {
  std::string resolved;
  {
    const OriginRun origin;
    resolved = to_yaml(started_from(
        origin, {"model.layer_group_size=3", "model.rope_scaling={type: linear, factor: 2}",
                 "data.sequence_length=80"}));
    CHECK(to_yaml(parse_run_file(resolved, "config.yaml")) == resolved);
  }
  const RunFile config = parse_run_file(resolved, "config.yaml");
  CHECK(to_yaml(config) == resolved);
  CHECK(config.model.attention_pattern == "GLLGL");
  CHECK(config.model.rope_scaling.original_max_position_embeddings == 40);
  CHECK(config.model.max_position_embeddings == 80);
  CHECK_FALSE(std::filesystem::exists(*config.model.init_from));

  const auto line = resolved.find("  qk_norm: ");
  REQUIRE(line != std::string::npos);
  const std::string shortened = resolved.erase(line, resolved.find('\n', line) + 1 - line);
  CHECK_THAT(
      refusal_of(shortened),
      Contains("model.init_from: \"" + config.model.init_from->string() + "\" does not exist"));
}

TEST_CASE("What is no origin is refused once, with the way out, and no size is missed") {
  const TemporaryFolder folder;
  const std::string path = folder.path().string();
  const std::string place = "--set model.init_from=" + path;
  CHECK(refusal_from(path + "/gone") == place + "/gone: model.init_from: \"" + path +
                                            "/gone\" does not exist; give a run or checkpoint "
                                            "folder");
  CHECK_THAT(refusal_from(path + "/gone@20"), Contains("/gone@20\" does not exist"));
  CHECK(refusal_from(path) == place + ": model.init_from: \"" + path +
                                  "\" is no run or checkpoint folder: it has no config.yaml");
  write_text(folder / "config.json", "{}");
  CHECK(refusal_from(path) ==
        place + ": model.init_from: \"" + path +
            "\" is a HuggingFace folder; make a checkpoint of it first: zebra import " + path +
            " --output DIR");
  CHECK_THAT(refusal_of(kAdaptation + "model:\n  init_from: " + path + "/gone\n"),
             Contains("run.yaml:5: model.init_from: "));
}

TEST_CASE("A preset beside init_from is refused") {
  const OriginRun origin;
  CHECK_THAT(refusal_from(origin.path().string(), {"model.preset=zebra-tiny"}),
             Contains("model.init_from: and model.preset both give the model's shape; remove one"));
}

TEST_CASE("An origin's key that this build does not know is refused in the origin's name") {
  const OriginRun origin;
  const auto file = origin.path() / "config.yaml";
  std::string text = to_yaml(started_from(origin));
  text.replace(text.find("  qk_norm:"), 10, "  qk_norms:");
  write_text(file, text);
  CHECK_THAT(refusal_from(origin.path().string()),
             Contains("model of " + origin.path().string()) && Contains("qk_norms"));
}
