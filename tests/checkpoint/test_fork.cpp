#include "checkpoint/fork.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "checkpoint/verification.h"
#include "config/catalogue.h"
#include "data/training_data.h"
#include "model/zebra_model.h"
#include "support/catch.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

constexpr std::int64_t kForkedStep = 5;

/// A checkpoint of step 5 of tiny_run, with one small tensor in place of the model's: a fork takes
/// files as they are.
struct Origin {
  TemporaryFolder folder;
  std::filesystem::path run = folder / "run";
  std::filesystem::path checkpoint = checkpoint_folder(run, kForkedStep);

  explicit Origin(const std::vector<std::string>& overrides = {},
                  const std::vector<std::string>& groups = {"weights", "exp_avg", "exp_avg_sq"},
                  const std::filesystem::path& init_from = {}) {
    make_data();
    Config config = tiny_run(folder, overrides);
    config.model.init_from = init_from;
    std::filesystem::create_directories(checkpoint);
    Manifest manifest;
    manifest.step = kForkedStep;
    manifest.training = {{"step", kForkedStep},
                         {"tokens", 960},
                         {"recent_norms", {0.5, 0.25}},
                         {"dataset_fingerprints", {"of train"}},
                         {"validation_loss", 2.5}};
    manifest.tensors = {{"t", {{3}, {{0, 0, 3}}}}};
    for (const auto& group : groups) {
      const auto file = shard_file_name(group, 0);
      manifest.files[file] =
          write_safetensors(checkpoint / file, {{"t@0:3", torch::arange(3, torch::kFloat32)}});
    }
    record(manifest, "config.yaml", to_yaml(config));
    record(manifest, "tokenizer.model", read_file(folder / "tok.model"));
    write_text(checkpoint / Manifest::kFileName, manifest.to_text());
  }

  ForkOptions options(const std::vector<std::string>& overrides = {}) const {
    return {folder / "fork", "", overrides};
  }
  Fork plan(const std::vector<std::string>& overrides = {}) const {
    return plan_fork(checkpoint, options(overrides));
  }
  std::filesystem::path forked() const { return checkpoint_folder(folder / "fork", kForkedStep); }

 private:
  // Training a tokenizer takes longer than all the rest: it is done once.
  void make_data() const {
    static const TemporaryFolder made;
    static const bool ready = (make_tiny_data(made), true);
    REQUIRE(ready);
    std::filesystem::copy(made.path(), folder.path(), std::filesystem::copy_options::recursive);
  }

  void record(Manifest& manifest, const std::string& name, const std::string& text) const {
    write_text(checkpoint / name, text);
    manifest.files[name] = {text.size(), hash_of(text)};
  }
};

/// Content of every file below a folder, by path.
std::map<std::string, std::string> files_below(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      files[std::filesystem::relative(entry.path(), folder).string()] = read_file(entry.path());
  return files;
}

std::vector<std::string> keys_of(const std::vector<ConfigDifference>& changes) {
  std::vector<std::string> keys;
  for (const auto& change : changes) keys.push_back(change.key);
  return keys;
}

TEST_CASE("a fork is a whole run of its own, and the original stays as it was") {
  const Origin origin;
  const auto before = files_below(origin.run);
  std::uint64_t done = 0, total = 0;
  write_fork(origin.plan({"optimizer.lr=1e-4", "train.max_steps=20"}),
             [&](std::uint64_t bytes_done, std::uint64_t bytes) {
               REQUIRE(bytes_done >= done);
               done = bytes_done;
               total = bytes;
             });
  REQUIRE(files_below(origin.run) == before);
  REQUIRE(done > 0);
  REQUIRE(done <= total);

  const auto run = origin.folder / "fork";
  REQUIRE(list_checkpoints(run).size() == 1);
  REQUIRE(checkpoint_faults(origin.forked()).empty());
  const auto config = resolve(load_run_file({run / "config.yaml"}, {}));
  REQUIRE(config.run.dir == run);
  REQUIRE(config.run.name == "fork");
  REQUIRE(config.data.tokenizer == run / "tokenizer.model");
  REQUIRE(config.optimizer.lr == 1e-4);
  REQUIRE(config.train.max_steps == 20);
  // The trainer compares the run's configuration with the checkpoint's.
  REQUIRE(keys_of(differences(Checkpoint(origin.forked()).config(), config)) ==
          std::vector<std::string>{"data.tokenizer"});
  REQUIRE(keys_of(differences(Checkpoint(origin.checkpoint).config(), config)) ==
          std::vector<std::string>{"run.name", "run.dir", "data.tokenizer", "optimizer.lr",
                                   "train.max_steps"});

  auto files = files_below(run);
  REQUIRE(files.size() == 8);
  for (const char* same : {"weights-00000.safetensors", "exp_avg-00000.safetensors",
                           "exp_avg_sq-00000.safetensors", "tokenizer.model"})
    REQUIRE(files.at("checkpoints/step-00000005/" + std::string(same)) ==
            before.at("checkpoints/step-00000005/" + std::string(same)));
  REQUIRE(files.at("tokenizer.model") == read_file(origin.folder / "tok.model"));
  REQUIRE(files.at("config.yaml") == files.at("checkpoints/step-00000005/config.yaml"));
}

TEST_CASE("the training state goes on, and says where it comes from") {
  const Origin origin;
  const auto fork = origin.plan({"optimizer.lr=1e-4"});
  auto expected = Checkpoint(origin.checkpoint).training();
  expected["forked_from"] = {{"checkpoint", origin.checkpoint.string()}, {"step", kForkedStep}};
  REQUIRE(fork.manifest.training == expected);
  REQUIRE(fork.manifest.step == kForkedStep);
  REQUIRE(keys_of(fork.changes) == std::vector<std::string>{"optimizer.lr"});
}

TEST_CASE("a validation loss stays only where the model would get it again") {
  const Origin origin;
  const auto keeps = [&](const std::string& override) {
    return origin.plan({override}).manifest.training.contains("validation_loss");
  };
  for (const char* same : {"optimizer.lr=1e-4", "run.seed=9", "train.max_steps=20",
                           "schedule.type=constant", "train.global_batch_size=8"}) {
    INFO(same);
    REQUIRE(keeps(same));
  }
  for (const char* other :
       {"model.window_size=3", "model.attention_pattern=G", "data.document_mask=false",
        "data.sequence_length=32", "data.validation=[{path: other}]", "train.precision=bf16",
        "eval.max_tokens=96"}) {
    INFO(other);
    REQUIRE_FALSE(keeps(other));
  }
}

TEST_CASE("other data bring their fingerprints") {
  const Origin origin;
  const auto at = origin.folder.path().string();
  const Tokenizer tokenizer(origin.folder / "tok.model");
  const auto sets = open_datasets({{at + "/valid", {}}, {at + "/train", {}}}, tokenizer, 300);
  const auto fork = origin.plan(
      {"data.train=[{path: " + at + "/valid, weight: 3}, {path: " + at + "/train, weight: 1}]"});
  const auto& fingerprints = fork.manifest.training.at("dataset_fingerprints");
  REQUIRE(fingerprints.size() == 2);
  REQUIRE(fingerprints[0] == sets[0]->fingerprint());
  REQUIRE(fingerprints[1] == sets[1]->fingerprint());
  REQUIRE_THROWS_WITH(origin.plan({"data.train=[{path: " + at + "/none}, {path: " + at + "/no}]"}),
                      Contains(at + "/none") && Contains(at + "/no"));
}

TEST_CASE("stages bring the fingerprints of all sources, in the order of their first use") {
  const Origin origin;
  const auto at = origin.folder.path().string();
  const Tokenizer tokenizer(origin.folder / "tok.model");
  const auto sets = open_datasets({{at + "/valid", {}}, {at + "/train", {}}}, tokenizer, 300);
  const auto fork = origin.plan({"data.stages=[{until: 0.5, train: [{path: " + at + "/valid}]}]"});
  const auto& fingerprints = fork.manifest.training.at("dataset_fingerprints");
  REQUIRE(fingerprints.size() == 2);
  REQUIRE(fingerprints[0] == sets[0]->fingerprint());
  REQUIRE(fingerprints[1] == sets[1]->fingerprint());
}

/// Names and shapes of all tensors.
std::map<std::string, std::vector<std::int64_t>> tensors_of(const ModelConfig& model) {
  std::map<std::string, std::vector<std::int64_t>> tensors;
  for (const auto& unit : ZebraModel(model, ParameterMemory::placeholder)->units())
    for (const auto& parameter : unit.parameters)
      for (const auto& part : parameter.spec.parts) tensors[part.name] = part.shape;
  return tensors;
}

// A change of every key of the model, so that a key that is new must be thought of here.
const std::vector<std::string> kModelChanges = {"hidden_size: 64",
                                                "intermediate_size: 32",
                                                "num_hidden_layers: 4, attention_pattern: GL",
                                                "num_attention_heads: 8",
                                                "num_key_value_heads: 4",
                                                "head_dim: 16",
                                                "vocab_size: 301",
                                                "tie_word_embeddings: true",
                                                "norm_placement: reordered",
                                                "qk_norm: true",
                                                "qk_norm: projection",
                                                "attention_sink: true",
                                                "attention_sink: false",
                                                "attention_sink: all",
                                                "attention_pattern: GLL",
                                                "attention_pattern: G",
                                                "always_global: last",
                                                "always_global: both",
                                                "window_size: 3",
                                                "window_schedule: [{until: 0.5, window: 1}]",
                                                "rms_norm_eps: 1e-6",
                                                "initializer_range: 0.1",
                                                "max_position_embeddings: 96",
                                                "rope_theta: 5e5",
                                                "global_rope_theta: 5e5",
                                                "local_rope_theta: 0",
                                                "rope_scaling: {type: linear, factor: 2}"};

TEST_CASE("just what would change the model's tensors is refused") {
  const auto sinks = GENERATE(as<std::string>{}, "false", "true", "all");
  const Origin origin({"model.attention_sink=" + sinks});
  const auto saved = tensors_of(Checkpoint(origin.checkpoint).config().model);
  int refused = 0;
  for (const auto& change : kModelChanges) {
    const auto override = "model={" + change + "}";
    INFO(override << " with attention_sink " << sinks);
    const auto changed = resolve(load_run_file({origin.checkpoint / "config.yaml"}, {override}));
    if (tensors_of(changed.model) == saved) {
      REQUIRE_NOTHROW(origin.plan({override}));
    } else {
      ++refused;
      REQUIRE_THROWS_WITH(origin.plan({override}),
                          Contains("shapes of tensors") || Contains("attention sink"));
    }
  }
  // Seven sizes, the tied head, three of norms, two of sinks; and where local layers alone have
  // sinks, two patterns.
  REQUIRE(refused == (sinks == "true" ? 15 : 13));
}

TEST_CASE("every key of the model is among those tried") {
  const std::set<std::string> elsewhere = {"preset", "init_from", "self_attn_type",
                                           "layer_group_size", "global_layer"};
  for (const auto& key : catalogue().find("model")->children) {
    const bool tried = std::ranges::any_of(
        kModelChanges, [&](const auto& change) { return change.starts_with(key.name + ":"); });
    INFO(key.name);
    REQUIRE((tried || elsewhere.contains(key.name)));
  }
}

TEST_CASE("all that must not change is reported at once") {
  const Origin origin;
  std::filesystem::create_directories(origin.folder / "fork");
  std::string message;
  try {
    origin.plan({"model.hidden_size=64", "model.qk_norm=true", "run.dir=elsewhere", "run.name=x",
                 "data.tokenizer=other.model", "model.preset=zebra-tiny"});
  } catch (const InputError& error) {
    message = error.what();
  }
  INFO(message);
  for (const char* expected :
       {"fork: exists already", "model.hidden_size: 32 -> 64", "model.qk_norm: false -> true",
        "--set run.dir: ", "--set run.name: ", "--set data.tokenizer: ", "--set model.preset: "})
    REQUIRE_THAT(message, Contains(expected));
  REQUIRE_THROWS_WITH(origin.plan({"model.init_from=there"}), Contains("--set model.init_from: "));
  REQUIRE_THROWS_WITH(origin.plan({"lr", "=3"}), Contains("--set lr") && Contains("--set =3"));
  REQUIRE_THROWS_WITH(origin.plan({"optimizer.learning_rate=3"}), Contains("optimizer.lr"));
}

TEST_CASE("a short form of the layout gets its way over the resolved pattern") {
  const Origin origin;
  const auto pattern = [&](const std::vector<std::string>& overrides) {
    return pattern_of(origin.plan(overrides).config.model.layers);
  };
  REQUIRE(pattern({}) == "GLG");
  REQUIRE(pattern({"model.layer_group_size=3"}) == "GLL");
  REQUIRE(pattern({"model={layer_group_size: 3, global_layer: last}"}) == "LLG");
  REQUIRE(pattern({"model.self_attn_type=full"}) == "GGG");
  REQUIRE(pattern({"model.layer_group_size=3", "model.attention_pattern=LG"}) == "LGL");
  REQUIRE(pattern({"model.layer_group_size=3", "model.always_global=last"}) == "GLG");
  REQUIRE(pattern({"model.attention_pattern=GLL", "model.always_global=both"}) == "GLG");
}

TEST_CASE("the name of the run is given or the folder's") {
  const Origin origin;
  auto options = origin.options();
  options.name = "annealed";
  REQUIRE(plan_fork(origin.checkpoint, options).config.run.name == "annealed");
  options = {origin.folder.path() / "sub" / ".." / "other" / "", "", {}};
  const auto run = plan_fork(origin.checkpoint, options).config.run;
  REQUIRE(run.dir == origin.folder / "other");
  REQUIRE(run.name == "other");
}

TEST_CASE("a damaged checkpoint cannot be forked, and nothing is left of the attempt") {
  const Origin origin;
  const std::string name =
      GENERATE(as<std::string>{}, "weights-00000.safetensors", "exp_avg_sq-00000.safetensors");
  const auto fork = origin.plan();
  flip_byte(origin.checkpoint / name, std::filesystem::file_size(origin.checkpoint / name) - 1);
  REQUIRE_THROWS_AS(write_fork(fork), InputError);
  REQUIRE_THROWS_WITH(write_fork(fork), Contains(name) && Contains("corrupt"));
  for (const auto& entry : std::filesystem::directory_iterator(origin.folder.path()))
    REQUIRE_FALSE(entry.path().filename().string().starts_with("fork"));
  flip_byte(origin.checkpoint / "config.yaml", 3);
  REQUIRE_THROWS_WITH(origin.plan(), Contains("config.yaml"));
}

TEST_CASE("a run that appears while it is written is not overwritten") {
  const Origin origin;
  const auto fork = origin.plan();
  std::filesystem::create_directories(origin.folder / "fork");
  REQUIRE_THROWS_AS(write_fork(fork), RunError);
  REQUIRE(std::filesystem::is_empty(origin.folder / "fork"));
}

TEST_CASE("where the weights of the original once came from is no matter") {
  const Origin origin({}, {"weights", "exp_avg", "exp_avg_sq"}, "/long/gone");
  const auto fork = origin.plan({"model.layer_group_size=3"});
  REQUIRE(fork.config.model.init_from.empty());
  REQUIRE(keys_of(fork.changes) == std::vector<std::string>{"model.attention_pattern"});
}

TEST_CASE("weights alone are nothing to go on from") {
  const Origin origin({}, {"weights"});
  REQUIRE_THROWS_WITH(origin.plan(), Contains("model.init_from"));
}

}  // namespace
}  // namespace zebra
