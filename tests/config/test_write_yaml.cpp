#include "config/run_file.h"
#include "support/catch.h"

using namespace zebra;
using Catch::Matchers::Contains;

namespace {

/// A configuration in which every key has a value of its own, far from its default.
RunFile unusual() {
  return config_with(
      {"run.name='a: \"b\" ${ZEBRA_TEST_WORD}'",
       "run.dir=/tmp/with space/[x]",
       "run.seed=123456789012345678",
       "run.device=cpu",
       "model.num_key_value_heads=3",
       "model.vocab_size=301",
       "model.rms_norm_eps=1e-5",
       "model.max_position_embeddings=64",
       "model.rope_theta=1e6",
       "model.global_rope_theta=0",
       "model.local_rope_theta=0.1",
       "model.rope_scaling={type: yarn, factor: 1.1, "
       "original_max_position_embeddings: 11, beta_fast: 31.5, "
       "beta_slow: 0.3, low_freq_factor: 1.5, high_freq_factor: 3.5, layers: global}",
       "model.norm_placement=reordered",
       "model.qk_norm=projection",
       "model.attention_sink=all",
       "model.initializer_range=0.07",
       "schedule.window_warmup_steps=2",
       "model.tie_word_embeddings=true",
       "model.attention_pattern=LGL",
       "data.train=[{path: 'a, b', weight: 0.1}, {path: c, weight: 1e-5, loss_weight: 0.3}]",
       "data.validation=[{path: v}]",
       "data.document_mask=false",
       "optimizer.type=muon",
       "optimizer.momentum=0.8",
       "optimizer.adjust_lr_fn=original",
       "optimizer.lr=1e-5",
       "optimizer.betas=[0.3333333333333333, 0.7]",
       "optimizer.eps=1e-20",
       "optimizer.weight_decay=0",
       "schedule.type=wsd",
       "schedule.decay_steps=5",
       "schedule.min_lr_ratio=0.30000000000000004",
       "train.precision=bf16",
       "train.grad_clip=0.7",
       "train.skip_above=10",
       "train.z_loss=1e-4",
       "train.deterministic=false",
       "checkpoint.every_steps=7",
       "checkpoint.keep_last=2",
       "checkpoint.keep_every=50",
       "checkpoint.keep_best=4",
       "checkpoint.asynchronous=false",
       "checkpoint.when_busy=skip",
       "model.init_from=/origin@best",
       "eval.every_steps=4",
       "eval.max_tokens=66",
       "logging.every_steps=3",
       "logging.tensorboard=true"});
}

std::string difference_text(const std::vector<ConfigDifference>& found) {
  std::string text;
  for (const auto& difference : found)
    text += difference.key + ": " + difference.before + " -> " + difference.after + "\n";
  return text;
}

}  // namespace

TEST_CASE("The resolved file holds every key in declared order") {
  const std::string yaml =
      to_yaml(config_with({"data.validation=[{path: /v, weight: 2}]", "run.dir=/r/odd",
                           "data.tokenizer=/t", "data.train=[{path: /a}, {path: /b}]"}));
  CHECK(
      yaml ==
      "run:\n  name: odd\n  dir: /r/odd\n  seed: 1\n  device: auto\n"
      "model:\n  hidden_size: 48\n  intermediate_size: 80\n  num_hidden_layers: 5\n  "
      "num_attention_heads: 6\n"
      "  num_key_value_heads: 6\n  head_dim: 8\n  rms_norm_eps: 1.0e-05\n"
      "  initializer_range: 0.02\n  tie_word_embeddings: false\n  qk_norm: false\n"
      "  attention_sink: false\n"
      "  max_position_embeddings: 33\n  rope_theta: 10000.0\n"
      "  rope_scaling:\n    type: none\n    factor: 1.0\n    beta_fast: 32.0\n    beta_slow: 1.0\n "
      "   low_freq_factor: 1.0\n    high_freq_factor: 4.0\n    layers: all\n"
      "  window_size: 7\n  attention_pattern: GLLLG\n"
      "data:\n  tokenizer: /t\n  train:\n    - {path: /a, loss_weight: 1.0}\n    - {path: /b, "
      "loss_weight: 1.0}\n"
      "  validation:\n    - {path: /v, weight: 2.0}\n  sequence_length: 33\n  document_mask: true\n"
      "  packing: concat\n  overflow: error\n"
      "optimizer:\n  type: adamw\n  lr: 0.002\n  weight_decay: 0.1\n  betas: [0.9, 0.95]\n  eps: "
      "1.0e-08\n"
      "  momentum: 0.95\n  adjust_lr_fn: match_rms_adamw\n"
      "schedule:\n  type: cosine\n  warmup_steps: 3\n  min_lr_ratio: 0.1\n  window_warmup_steps: "
      "0\n"
      "train:\n  max_steps: 21\n  global_batch_size: 12\n  micro_batch_size: 2\n  precision: "
      "fp32\n  activation_checkpointing: none\n  grad_clip: 1.0\n"
      "  skip_above: 0.0\n  z_loss: 0.0\n  loss_weighting: token\n  deterministic: true\n  "
      "cuda_graph: false\n"
      "parallel:\n  sharding: none\n  replicas: 1\n  context: 1\n  reduce_precision: fp32\n"
      "  first_step_timeout: 1800.0\n  timeout: 300.0\n  check_replicas_every: 0\n"
      "checkpoint:\n  every_steps: 1000\n  keep_last: 3\n  keep_every: 0\n  keep_best: 0\n"
      "  asynchronous: true\n  when_busy: wait\n"
      "eval:\n  every_steps: 0\n  max_tokens: 1048576\n"
      "logging:\n  every_steps: 1\n  tensorboard: false\n  layers_every: 0\n");
}

TEST_CASE("The resolved file reads back to the same values") {
  ::setenv("ZEBRA_TEST_WORD", "${NOT_EXPANDED_AGAIN}", 1);
  const RunFile file = unusual();
  const std::string yaml = to_yaml(file);
  const RunFile again = parse_run_file(yaml, "resolved.yaml");
  CHECK(difference_text(differences(resolve(file), resolve(again))) == "");
  CHECK(to_yaml(again) == yaml);
  CHECK(to_yaml(resolve(again)) == yaml);
  CHECK(again.run.name == "a: \"b\" ${NOT_EXPANDED_AGAIN}");
  CHECK(again.run.dir == "/tmp/with space/[x]");
  CHECK(again.run.seed == 123456789012345678);
  CHECK(again.model.attention_pattern == "LGLLG");
  CHECK(again.model.vocab_size == 301);
  CHECK(again.model.rope_theta == 1e6);
  CHECK(again.model.local_rope_theta == 0.1);
  CHECK(again.model.rope_scaling.type == RopeScaling::yarn);
  CHECK(again.model.rope_scaling.factor == 1.1);
  CHECK(again.model.rope_scaling.low_freq_factor == 1.5);
  CHECK(again.model.rope_scaling.high_freq_factor == 3.5);
  CHECK(again.model.norm_placement == NormPlacement::reordered);
  CHECK(again.model.qk_norm == QkNorm::projection);
  CHECK(again.model.attention_sink == AttentionSink::all);
  CHECK(again.optimizer.lr == 1e-5);
  CHECK(again.optimizer.eps == 1e-20);
  CHECK(again.optimizer.betas[0] == 0.3333333333333333);
  CHECK(again.schedule.min_lr_ratio == 0.30000000000000004);
  CHECK(again.schedule.decay_steps == 5);
  CHECK(again.data.train.at(0).path.filename() == "a, b");
  CHECK(again.data.train.at(0).loss_weight == 1.0);
  CHECK(again.data.train.at(1).weight == 1e-5);
  CHECK(again.data.train.at(1).loss_weight == 0.3);
  CHECK(again.train.deterministic == false);
}

TEST_CASE("Absent optional keys, short forms and the preset are not written") {
  const std::string yaml =
      to_yaml(config_with({"model.preset=zebra-tiny", "model.layer_group_size=2"}));
  for (const std::string key : {"preset", "self_attn_type", "layer_group_size", "global_layer",
                                "always_global", "vocab_size", "global_rope_theta", "decay_steps",
                                " weight:", "original_max", "norm_placement"}) {
    INFO(key);
    CHECK(yaml.find(key) == std::string::npos);
  }
  CHECK_THAT(yaml, Contains("\n  validation: []\n"));
}

TEST_CASE("Differences name keys with both values") {
  const Config before =
      resolve(config_with({"model.vocab_size=300", "data.train=[{path: /a}]"}), 290);
  const Config after =
      resolve(config_with({"optimizer.lr=0.5", "model.rope_scaling.type=linear",
                           "model.global_rope_theta=2",
                           "data.train=[{path: /a, weight: 1}, {path: /b, weight: 3}]"}),
              290);
  CHECK(difference_text(differences(before, after)) ==
        "model.vocab_size: 300 -> 290\n"
        "model.rope_scaling.type: none -> linear\n"
        "data.train: [{path: /a, loss_weight: 1.0}] -> [{path: /a, weight: 1.0, loss_weight: 1.0}, "
        "{path: /b, weight: 3.0, loss_weight: 1.0}]\n"
        "optimizer.lr: 0.002 -> 0.5\n"
        "model.global_rope_theta: (absent) -> 2.0\n");
  CHECK(differences(before, before).empty());
}

TEST_CASE("Different ways to write the same model do not differ") {
  const Config short_form = resolve(config_with({"model.layer_group_size=3"}), 9);
  const Config pattern =
      resolve(config_with({"model.attention_pattern=GLL", "model.head_dim=8",
                           "model.num_key_value_heads=6", "model.local_rope_theta=10000",
                           "model.vocab_size=9", "model.norm_placement=pre"}),
              9);
  CHECK(differences(short_form, pattern).empty());
}
