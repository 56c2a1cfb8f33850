#include "config/unknown_keys.h"

#include "config/run_file.h"
#include "support/catch.h"

using namespace zebra;
using Catch::Matchers::Contains;

namespace {

/// Refusal of kRunFile with `lines` (a section of YAML) laid on top, which start at line 1 of
/// run.yaml.
std::string refusal_of_overlay(const std::string& section, const std::string& line) {
  return refusal_of(
      "\n" + section + ":\n  " + line + "\n",
      {"run.dir=r", "model.preset=zebra-tiny", "data.tokenizer=t", "data.train=[{path: a}]",
       "data.sequence_length=64", "train.max_steps=10", "train.global_batch_size=2"});
}

}  // namespace

TEST_CASE("A misspelt key names the nearest one") {
  CHECK(refusal_of_overlay("model", "hiden_size: 64") ==
        "run.yaml:3: model.hiden_size: unknown key; did you mean hidden_size?");
  CHECK(refusal_of_overlay("model", "rope_scaling: {facto: 2}") ==
        "run.yaml:3: model.rope_scaling.facto: unknown key; did you mean factor?");
  CHECK(refusal_of_overlay("train", "max-steps: 5") ==
        "run.yaml:3: train.max-steps: unknown key; did you mean max_steps?");
  CHECK(refusal_of_overlay("train", "Precision: bf16") ==
        "run.yaml:3: train.Precision: unknown key; did you mean precision?");
  CHECK(refusal_of_overlay("data", "validation: [{path: a}, {path: b, wieght: 1}]") ==
        "run.yaml:3: data.validation[1].wieght: unknown key; did you mean weight?");
  CHECK(refusal_of("modle: {}\n" + kRunFile) ==
        "run.yaml:1: modle: unknown key; did you mean model?");
  CHECK(refusal_with({"model.hiden_size=3"}) ==
        "--set model.hiden_size=3: model.hiden_size: unknown key; did you mean hidden_size?");
}

TEST_CASE("A key that is like none lists those of its section") {
  CHECK(
      refusal_of_overlay("optimizer", "zzzzzz: 1") ==
      "run.yaml:3: optimizer.zzzzzz: unknown key; keys of optimizer: lr, weight_decay, betas, eps");
  CHECK_THAT(refusal_of("qqqqq: 1\n" + kRunFile),
             Contains("qqqqq: unknown key; sections: run, model, data, "));
}

TEST_CASE("A key in the wrong section names the right one") {
  CHECK(refusal_of_overlay("model", "sequence_length: 64") ==
        "run.yaml:3: model.sequence_length: unknown key; it belongs in data, as "
        "data.sequence_length");
  CHECK_THAT(
      refusal_of("max_steps: 3\n" + kRunFile),
      Contains("run.yaml:1: max_steps: unknown key; it belongs in train, as train.max_steps"));
  CHECK_THAT(refusal_with({"max_steps=3"}),
             Contains("--set max_steps=3: max_steps: unknown key; it belongs in train"));
  CHECK(refusal_of_overlay("train", "every_steps: 64") ==
        "run.yaml:3: train.every_steps: unknown key; it belongs elsewhere: checkpoint.every_steps, "
        "eval.every_steps or "
        "logging.every_steps");
  CHECK(refusal_of_overlay("model", "factor: 2") ==
        "run.yaml:3: model.factor: unknown key; it belongs in model.rope_scaling, as "
        "model.rope_scaling.factor");
  CHECK(refusal_of_overlay("train", "optimizer: {lr: 1}") ==
        "run.yaml:3: train.optimizer: unknown key; optimizer is a section, at the top level");
  CHECK(refusal_of_overlay("data", "optimiser: {lr: 1}") ==
        "run.yaml:3: data.optimiser: unknown key; did you mean optimizer?");
}

TEST_CASE("Words of other trainers name our key wherever they stand") {
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"fsdp", "parallel.sharding"},
      {"zero", "parallel.sharding"},
      {"zero_stage", "parallel.sharding"},
      {"seq_len", "data.sequence_length"},
      {"seq_length", "data.sequence_length"},
      {"context_length", "data.sequence_length"},
      {"block_size", "data.sequence_length"},
      {"max_seq_len", "data.sequence_length"},
      {"n_layers", "model.num_hidden_layers"},
      {"n_layer", "model.num_hidden_layers"},
      {"num_layers", "model.num_hidden_layers"},
      {"n_heads", "model.num_attention_heads"},
      {"d_model", "model.hidden_size"},
      {"dim", "model.hidden_size"},
      {"hidden_dim", "model.intermediate_size"},
      {"n_embd", "model.hidden_size"},
      {"ffn_dim", "model.intermediate_size"},
      {"learning_rate", "optimizer.lr"},
      {"max_lr", "optimizer.lr"},
      {"warmup", "schedule.warmup_steps"},
      {"batch_size", "train.micro_batch_size"},
      {"micro_batch", "train.micro_batch_size"},
      {"accumulation", "global_batch_size / (micro_batch_size x ranks)"},
      {"gradient_accumulation_steps", "train.micro_batch_size"},
      {"max_iters", "train.max_steps"},
      {"total_steps", "train.max_steps"},
      {"dtype", "train.precision"},
      {"mixed_precision", "train.precision"},
      {"sliding_window", "window_size = sliding_window - 1"},
      {"window", "model.window_size"},
      {"ws_schedule", "model.window_schedule"},
      {"window_schedule", "it belongs in model, as model.window_schedule"},
      {"save_interval", "checkpoint.every_steps"},
      {"eval_interval", "eval.every_steps"},
      {"log_interval", "logging.every_steps"},
      {"wandb", "metrics.jsonl"}};
  for (const auto& [word, hint] : expected) {
    const std::string in_section = refusal_of_overlay("train", word + ": 1");
    CHECK_THAT(in_section, Contains("run.yaml:3: train." + word + ": unknown key; "));
    CHECK_THAT(in_section, Contains(hint));
    const std::string at_top = refusal_of(word + ": 1\n" + kRunFile);
    CHECK_THAT(at_top, Contains("run.yaml:1: " + word + ": unknown key; "));
    CHECK_THAT(at_top, Contains(hint));
  }
}

TEST_CASE("Dots in a file are explained") {
  CHECK(refusal_of("train.precision: bf16\n" + kRunFile) ==
        "run.yaml:1: train.precision: unknown key; dots join keys in --set only; in a file, indent "
        "precision under its "
        "section");
}

TEST_CASE("A misspelt required key is not reported as missing too, unless it is given") {
  std::string yaml = kRunFile;
  yaml.replace(yaml.find("max_steps"), 9, "max_stpes");
  CHECK(refusal_of(yaml) == "run.yaml:6: train.max_stpes: unknown key; did you mean max_steps?");
  yaml = kRunFile;
  yaml.replace(yaml.find("sequence_length: 33"), 19, "seq_len: 33");
  CHECK(refusal_of(yaml) == "run.yaml:3: data.seq_len: unknown key; write data.sequence_length");
  CHECK(refusal_of(kRunFile, {"data.train=[{paht: a}]"}) ==
        "--set data.train=[{paht: a}]: data.train[0].paht: unknown key; did you mean path?");
  const std::string both = refusal_with({"train.max_stpes=9", "train.max_steps=0"});
  CHECK_THAT(both, Contains("did you mean max_steps?"));
  CHECK_THAT(both, Contains("train.max_steps: must be at least 1, not 0"));
}

TEST_CASE("A word of another kind is not taken for a short key") {
  CHECK_THAT(refusal_with({"train.lora=8"}), Contains("without adapters"));
  CHECK(refusal_with({"train.loar=8"}).find("lr") == std::string::npos);
  CHECK_THAT(refusal_with({"train.lrr=8"}), Contains("optimizer.lr"));
}
