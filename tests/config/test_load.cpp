#include "config/load.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "config/run_file.h"
#include "support/catch.h"

using namespace zebra;
using Catch::Matchers::Contains;

namespace {

/// A folder with run files that is removed at the end.
class RunFiles {
 public:
  RunFiles() {
    std::string name = (std::filesystem::temp_directory_path() / "zebra-config-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
  }
  ~RunFiles() { std::filesystem::remove_all(folder_); }
  RunFiles(const RunFiles&) = delete;
  RunFiles& operator=(const RunFiles&) = delete;

  std::filesystem::path add(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  std::filesystem::path path(const std::string& name) const { return folder_ / name; }

 private:
  std::filesystem::path folder_;
};

// The small run file of the project's contract.
const char* const kContract = R"(run: {name: tiny, dir: runs/tiny, seed: 1}
model: {hidden_size: 64, intermediate_size: 176, num_hidden_layers: 4, num_attention_heads: 4, num_key_value_heads: 2,
        self_attn_type: mix, layer_group_size: 2, window_size: 16}        # vocab_size comes from the tokenizer
data: {tokenizer: tok.model, train: [{path: data/train}], validation: [{path: data/valid}], sequence_length: 128}
optimizer: {lr: 1.0e-3, weight_decay: 0.1, betas: [0.9, 0.95], eps: 1.0e-8}
schedule: {type: cosine, warmup_steps: 10, min_lr_ratio: 0.1}
train: {max_steps: 50, global_batch_size: 8, micro_batch_size: 4, precision: fp32, grad_clip: 1.0}
parallel: {sharding: none}
checkpoint: {every_steps: 10, keep_last: 3}
eval: {every_steps: 25, max_tokens: 8192}      # the first N validation tokens, in whole windows, whatever the ranks and batches
logging: {every_steps: 1}
)";

}  // namespace

TEST_CASE("The contract's run file is read to the last key") {
  const Config config = parse_run_file(kContract, "run.yaml");
  const auto here = std::filesystem::current_path();
  CHECK(config.run.name == "tiny");
  CHECK(config.run.dir == here / "runs/tiny");
  CHECK(config.run.seed == 1);
  CHECK(config.run.device == Device::automatic);
  CHECK(config.model.hidden_size == 64);
  CHECK(config.model.intermediate_size == 176);
  CHECK(config.model.num_hidden_layers == 4);
  CHECK(config.model.num_attention_heads == 4);
  CHECK(config.model.num_key_value_heads == 2);
  CHECK(config.model.head_dim == 16);
  CHECK(config.model.attention_pattern == "GLGL");
  CHECK(config.model.window_size == 16);
  CHECK(config.model.max_position_embeddings == 128);
  CHECK(config.model.vocab_size == std::nullopt);
  CHECK(config.data.tokenizer == here / "tok.model");
  REQUIRE(config.data.train.size() == 1);
  CHECK(config.data.train[0].path == here / "data/train");
  CHECK(config.data.train[0].weight == std::nullopt);
  REQUIRE(config.data.validation.size() == 1);
  CHECK(config.data.validation[0].path == here / "data/valid");
  CHECK(config.data.sequence_length == 128);
  CHECK(config.data.document_mask == true);
  CHECK(config.optimizer.lr == 1e-3);
  CHECK(config.optimizer.weight_decay == 0.1);
  CHECK(config.optimizer.betas == std::array<double, 2>{0.9, 0.95});
  CHECK(config.optimizer.eps == 1e-8);
  CHECK(config.schedule.type == ScheduleType::cosine);
  CHECK(config.schedule.warmup_steps == 10);
  CHECK(config.schedule.min_lr_ratio == 0.1);
  CHECK(config.train.max_steps == 50);
  CHECK(config.train.global_batch_size == 8);
  CHECK(config.train.micro_batch_size == 4);
  CHECK(config.train.precision == Precision::fp32);
  CHECK(config.train.grad_clip == 1.0);
  CHECK(config.train.deterministic == true);
  CHECK(config.parallel.sharding == Sharding::none);
  CHECK(config.checkpoint.every_steps == 10);
  CHECK(config.checkpoint.keep_last == 3);
  CHECK(config.eval.every_steps == 25);
  CHECK(config.eval.max_tokens == 8192);
  CHECK(config.logging.every_steps == 1);
}

TEST_CASE(
    "Later files win over earlier ones, overrides over files, later overrides over earlier ones") {
  const RunFiles files;
  const auto base = files.add("base.yaml", kContract);
  const auto over = files.add(
      "over.yaml", "train: {max_steps: 60, grad_clip: 2}\ndata: {train: [{path: x}, {path: y}]}\n");
  const auto last = files.add("last.yaml", "train:\n  max_steps: 70\n");
  CHECK(load_run_file({base}, {}).train.max_steps == 50);
  CHECK(load_run_file({base, over}, {}).train.max_steps == 60);
  CHECK(load_run_file({over, base}, {}).train.max_steps == 50);
  const Config config = load_run_file({base, over, last}, {"optimizer.lr=5", "optimizer.lr=6"});
  CHECK(config.train.max_steps == 70);
  CHECK(config.train.grad_clip == 2.0);
  CHECK(config.train.global_batch_size == 8);
  CHECK(config.data.train.size() == 2);
  CHECK(config.optimizer.lr == 6.0);
  CHECK(load_run_file({base, over, last}, {"train={max_steps: 80}"}).train.max_steps == 80);
  CHECK(load_run_file({base, over, last}, {"train={max_steps: 80}"}).train.grad_clip == 2.0);
}

TEST_CASE("Problems of several files are told together, each with its own place") {
  const RunFiles files;
  const auto base =
      files.add("base.yaml", std::string(kContract) + "x-note: anything\nfoo_bar_baz: 1\n");
  const auto over = files.add(
      "over.yaml", "train:\n  max_steps: abc\nmodel:\n  hiden_size: 5\n  window_size: -2\n");
  std::string message;
  try {
    load_run_file({base, over}, {"optimizer.lr=fast", "checkpoint.keep=2"});
  } catch (const InputError& error) {
    message = error.what();
  }
  const std::string a = base.string();
  const std::string b = over.string();
  std::string expected =
      a +
      ":13: foo_bar_baz: unknown key; sections: run, model, data, optimizer, schedule, train, "
      "parallel, checkpoint, eval, logging\n";
  expected += b + ":2: train.max_steps: \"abc\" is not an integer\n";
  expected += b + ":4: model.hiden_size: unknown key; did you mean hidden_size?\n";
  expected += b + ":5: model.window_size: must be at least 0, not -2\n";
  CHECK_THAT(message, Catch::Matchers::StartsWith(expected));
  CHECK_THAT(message, Contains("\n--set checkpoint.keep=2: checkpoint.keep: unknown key; "));
  CHECK_THAT(message,
             Contains("\n--set optimizer.lr=fast: optimizer.lr: \"fast\" is not a finite number"));
  CHECK(std::count(message.begin(), message.end(), '\n') == 5);
}

TEST_CASE("What cannot be read or parsed is told together") {
  const RunFiles files;
  const auto broken = files.add("broken.yaml", "a: [1\n");
  const auto twice = files.add("twice.yaml", "run: {seed: 1, seed: 2}\n");
  CHECK_THROWS_WITH(load_run_file({broken, twice}, {"a.b"}),
                    Contains(broken.string() + ":") && Contains("not valid YAML") &&
                        Contains(twice.string() + ":1: run.seed: given twice") &&
                        Contains("--set a.b: has no value"));
  CHECK_THROWS_WITH(
      load_run_file({files.path("no.yaml"), files.path("none.yaml")}, {}),
      Contains(files.path("no.yaml").string()) && Contains(files.path("none.yaml").string()));
  CHECK_THROWS_AS(load_run_file({files.path("no.yaml")}, {}), InputError);
}

TEST_CASE("Top-level x- keys hold anchors and are ignored") {
  const Config config = parse_run_file(
      "x-small: &small {hidden_size: 32, intermediate_size: 64}\n"
      "x-anything: [1, {two: 3}]\n"
      "run: {dir: r}\n"
      "model: {<<: *small, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 96, "
      "self_attn_type: full}\n"
      "data: {tokenizer: t, train: &sets [{path: a}], validation: *sets, sequence_length: 8}\n"
      "train: {max_steps: 1, global_batch_size: 1}\n",
      "run.yaml");
  CHECK(config.model.hidden_size == 32);
  CHECK(config.model.intermediate_size == 96);
  CHECK(config.data.validation.size() == 1);
  CHECK_THAT(refusal_of("model: {x-a: 1}\n" + kRunFile.substr(kRunFile.find("data:"))),
             Contains("model.x-a: unknown key"));
}

TEST_CASE("A mistake behind an anchor is told where it was written") {
  const std::string yaml =
      "x-a:\n  common: &common\n    hiden_size: 3\n" + kRunFile.substr(0, kRunFile.find("model:")) +
      "model: {<<: *common, preset: zebra-tiny}\n" + kRunFile.substr(kRunFile.find("data:"));
  CHECK(refusal_of(yaml) == "run.yaml:3: model.hiden_size: unknown key; did you mean hidden_size?");
}

TEST_CASE("A resumed run may change what does not change the result of a step") {
  for (const std::string key :
       {"parallel.sharding", "parallel.replicas", "train.activation_checkpointing",
        "checkpoint.every_steps", "checkpoint.keep_last", "checkpoint.asynchronous",
        "eval.every_steps", "eval.max_tokens", "logging.every_steps", "run.device",
        "train.micro_batch_size", "train.max_steps"}) {
    INFO(key);
    CHECK(may_change_on_resume(key));
  }
  for (const std::string key :
       {"run.seed", "run.dir", "run.name", "model.init_from", "model.hidden_size",
        "model.rope_scaling.factor", "data.train", "data.sequence_length", "optimizer.lr",
        "schedule.warmup_steps", "train.global_batch_size", "train.precision", "train.grad_clip",
        "train", "max_steps", "", "no.such_key"}) {
    INFO(key);
    CHECK_FALSE(may_change_on_resume(key));
  }
}
