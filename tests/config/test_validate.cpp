#include "config/resolve.h"

#include <algorithm>

#include "config/run_file.h"
#include "support/catch.h"

using namespace zebra;
using Catch::Matchers::Contains;

TEST_CASE("Local layers need a window, zero included") {
  CHECK(refusal_with({"model.window_size="}) ==
        "--set model.window_size=: model.window_size: missing, but 3 of 5 layers are local: give "
        "the number of previous "
        "tokens they see, or self_attn_type: full");
  CHECK(config_with({"model.window_size=0"}).model.window_size == 0);
  CHECK(config_with({"model.window_size=1000"}).model.window_size == 1000);
  CHECK(config_with({"model.window_size=", "model.self_attn_type=full"}).model.window_size ==
        std::nullopt);
  CHECK_THAT(refusal_with({"model.window_size=-1"}),
             Contains("model.window_size: must be at least 0, not -1"));
  std::string yaml = kRunFile;
  yaml.erase(yaml.find(", window_size: 7"), 16);
  CHECK_THAT(refusal_of(yaml),
             Contains("run.yaml:2: model.window_size: missing, but 3 of 5 layers are local"));
}

TEST_CASE("Heads must fit each other") {
  CHECK(refusal_with({"model.num_key_value_heads=4"}) ==
        "--set model.num_key_value_heads=4: model.num_key_value_heads: 4 does not divide the 6 "
        "query heads "
        "(model.num_attention_heads); give a divisor of them");
  CHECK_THAT(refusal_with({"model.num_key_value_heads=12"}),
             Contains("12 does not divide the 6 query heads"));
  CHECK_THAT(refusal_with({"model.head_dim=9"}),
             Contains("model.head_dim: 9 must be even and at most 256"));
  CHECK_THAT(refusal_with({"model.head_dim=258"}),
             Contains("model.head_dim: must be from 2 to 256, not 258"));
  // Derived ones too: 48 / 16 = 3, and 1548 / 6 = 258.
  CHECK_THAT(refusal_with({"model.num_attention_heads=16"}),
             Contains("run.yaml:2: model.head_dim: 3 must be even"));
  CHECK_THAT(refusal_with({"model.hidden_size=1548"}),
             Contains("model.head_dim: 258 must be even and at most 256"));
  CHECK(config_with({"model.head_dim=256"}).model.head_dim == 256);
}

TEST_CASE("Replicas are copies of sharded state, and divide the ranks") {
  CHECK(refusal_with({"parallel.replicas=2"}) ==
        "--set parallel.replicas=2: parallel.replicas: 2 is for sharded state; without sharding "
        "every rank is a copy: remove it, or set parallel.sharding");
  const std::vector<std::string> two = {"parallel.replicas=2", "parallel.sharding=full",
                                        "train.micro_batch_size=1"};
  CHECK_THAT(refusal_with(two, 3), Contains("parallel.replicas: 2 does not divide the 3 ranks"));
  CHECK(config_with(two, 4).parallel.replicas == 2);
  // A process on its own may read the file, for a checkpoint of such a run.
  CHECK(config_with(two).parallel.replicas == 2);
}

TEST_CASE("The global batch is a multiple of what the ranks take at once") {
  CHECK(refusal_with({"train.global_batch_size=13"}, 2) ==
        "--set train.global_batch_size=13: train.global_batch_size: 13 is not a multiple of "
        "micro_batch_size x ranks (2 x 2 = "
        "4); sizes that fit: 12, 16, 20");
  CHECK(refusal_with({}, 5) ==
        "run.yaml:6: train.global_batch_size: 12 is not a multiple of micro_batch_size x ranks (2 "
        "x 5 = 10); sizes that "
        "fit: 10, 20, 30");
  CHECK_THAT(refusal_with({"train.micro_batch_size=100"}),
             Contains("(100 x 1 = 100); sizes that fit: 100, 200"));
  CHECK_THAT(refusal_with({"train.micro_batch_size=1073741824"}, 2147483647),
             Contains("is not a multiple"));
  CHECK_THAT(
      refusal_with({"train.micro_batch_size="}, 13),
      Contains(
          "train.global_batch_size: 12 sequences cannot be shared by 13 ranks; give at least 13"));
  CHECK_THAT(refusal_with({"train.micro_batch_size="}, 5),
             Contains("(2 x 5 = 10); sizes that fit: 10, 20, 30"));
  CHECK(config_with({}, 6).train.global_batch_size == 12);
}

TEST_CASE("The schedule fits into the steps") {
  CHECK_THAT(refusal_with({"schedule.warmup_steps=22"}),
             Contains("schedule.warmup_steps: 22 is more than train.max_steps (21); lower it"));
  CHECK(config_with({"schedule.warmup_steps=21"}).schedule.warmup_steps == 21);
  CHECK(refusal_with({"schedule.type=wsd", "schedule.decay_steps=19"}) ==
        "--set schedule.decay_steps=19: schedule.decay_steps: 19 after 3 warmup_steps is more than "
        "train.max_steps (21); "
        "lower one of them");
  CHECK(config_with({"schedule.type=wsd", "schedule.decay_steps=18"}).schedule.decay_steps == 18);
  CHECK_THAT(refusal_with({"schedule.type=wsd", "schedule.warmup_steps=20"}),
             Contains("run.yaml:5: schedule.decay_steps: 4 after 20 warmup_steps is more than "
                      "train.max_steps (21)"));
  for (const std::string type : {"cosine", "constant"}) {
    CHECK_THAT(
        refusal_with({"schedule.type=" + type, "schedule.decay_steps=5"}),
        Contains("schedule.decay_steps: only wsd uses it; remove it, or give schedule.type: wsd"));
  }
}

TEST_CASE("Weights are given for all sources of a list or for none") {
  CHECK(refusal_with({"data.train=[{path: a, weight: 1}, {path: b}, {path: c}]"}) ==
        "--set data.train=[{path: a, weight: 1}, {path: b}, {path: c}]: data.train[1].weight: "
        "missing, but other sources of "
        "the list have one: give all of them a weight, or none\n"
        "--set data.train=[{path: a, weight: 1}, {path: b}, {path: c}]: data.train[2].weight: "
        "missing, but other sources of "
        "the list have one: give all of them a weight, or none");
  CHECK_THAT(
      refusal_of(kRunFile + "eval: {}\n", {"data.validation=[{path: a}, {path: b, weight: 2}]"}),
      Contains("data.validation[0].weight: missing"));
  CHECK(config_with({"data.train=[{path: a}, {path: b}]"}).data.train.size() == 2);
}

TEST_CASE("Whole documents keep apart, and only they overflow") {
  CHECK_THAT(refusal_with({"data.packing=whole", "data.document_mask=false"}),
             Contains("data.document_mask: false would let whole documents see each other"));
  CHECK_THAT(refusal_with({"data.overflow=drop"}),
             Contains("data.overflow: drop has no effect without data.packing: whole"));
  const auto data = config_with({"data.packing=whole", "data.overflow=split"}).data;
  CHECK(data.packing == Packing::whole);
  CHECK(data.overflow == Overflow::split);
}

TEST_CASE("Positions fit the sequences") {
  CHECK_THAT(refusal_with({"model.max_position_embeddings=32"}),
             Contains("model.max_position_embeddings: 32 is less than data.sequence_length (33); "
                      "raise it, or set "
                      "model.rope_scaling for longer sequences"));
  CHECK(config_with({"model.max_position_embeddings=32", "model.rope_scaling.type=linear",
                     "model.rope_scaling.factor=2"})
            .model.max_position_embeddings == 32);
}

TEST_CASE("Scaled positions need what their kind needs") {
  CHECK_THAT(refusal_with({"model.rope_scaling.factor=2"}),
             Contains("model.rope_scaling.factor: must be 1 without scaling, not 2; give "
                      "model.rope_scaling.type"));
  CHECK_THAT(refusal_with({"model.rope_scaling.factor=0.5", "model.rope_scaling.type=linear"}),
             Contains("model.rope_scaling.factor: must be at least 1, not 0.5"));
  for (const std::string type : {"dynamic", "yarn", "llama3"}) {
    const std::string set = "model.rope_scaling.type=" + type;
    CHECK_THAT(refusal_with({set, "model.rope_scaling.factor=4"}),
               Contains("model.rope_scaling.original_max_position_embeddings: missing, but the "
                        "type is " +
                        type + ": give the longest sequence"));
    const RunFile config = config_with({set, "model.rope_scaling.factor=4",
                                        "model.rope_scaling.original_max_position_embeddings=16"});
    CHECK(config.model.rope_scaling.original_max_position_embeddings == 16);
    CHECK(config.model.rope_scaling.factor == 4.0);
  }
  CHECK_THAT(
      refusal_with(
          {"model.rope_scaling={type: yarn, original_max_position_embeddings: 8, beta_fast: 1}"}),
      Contains("model.rope_scaling.beta_fast: 1 must be greater than beta_slow (1)"));
  CHECK_THAT(
      refusal_with({"model.rope_scaling={type: llama3, original_max_position_embeddings: 8, "
                    "low_freq_factor: 4}"}),
      Contains("model.rope_scaling.high_freq_factor: 4 must be greater than low_freq_factor (4)"));
  CHECK(config_with({"model.rope_scaling.type=linear"}).model.rope_scaling.factor == 1.0);
}

TEST_CASE("Validation needs data, and at least one window of it") {
  CHECK(refusal_with({"eval.every_steps=5"}) ==
        "--set eval.every_steps=5: eval.every_steps: 5 asks for validation, but data.validation is "
        "empty: give datasets "
        "there, or eval.every_steps: 0");
  const std::string data = "data.validation=[{path: v}]";
  CHECK(config_with({data, "eval.every_steps=5"}).eval.every_steps == 5);
  CHECK_THAT(
      refusal_with({data, "eval.every_steps=5", "eval.max_tokens=32"}),
      Contains(
          "eval.max_tokens: 32 is less than one window; give at least data.sequence_length (33)"));
  CHECK(config_with({data, "eval.every_steps=5", "eval.max_tokens=33"}).eval.max_tokens == 33);
  CHECK(config_with({data, "eval.max_tokens=5"}).eval.every_steps == 0);
}

TEST_CASE("A CUDA graph needs kernels that do not depend on the batch") {
  const std::string graph = "train.cuda_graph=true", half = "train.precision=bf16";
  CHECK_THAT(refusal_with({graph}), Contains("train.cuda_graph: needs train.deterministic: true"));
  CHECK_THAT(refusal_with({graph, half, "train.deterministic=false"}),
             Contains("train.cuda_graph: needs train.deterministic: true"));
  CHECK(config_with({graph, half}).train.cuda_graph);
}

TEST_CASE("An alert names a figure that is known, and what to do") {
  const auto alert = [](const std::string& rule) { return "train.alert=[" + rule + "]"; };
  const std::string logit = alert("{figure: attention_logit_lower, above: 50, do: stop}");
  CHECK_THAT(refusal_with({logit}),
             Contains("train.alert[0].figure: attention_logit_lower is known in the steps of "
                      "logging.layers_every only, which is 0"));
  const auto rules = config_with({logit, "logging.layers_every=10"}).train.alert;
  REQUIRE(rules.size() == 1);
  CHECK(rules[0].figure == AlertFigure::attention_logit_lower);
  CHECK(rules[0].above == 50.0);
  CHECK(rules[0].action == AlertAction::stop);
  CHECK(config_with({alert("{figure: spike_score, above: 6}")}).train.alert[0].action ==
        AlertAction::log);
  CHECK_THAT(refusal_with({alert("{figure: grad_norm}")}), Contains("above"));
  CHECK_THAT(refusal_with({alert("{figure: speed, above: 1}")}), Contains("figure"));
  CHECK_THAT(refusal_with({alert("{figure: loss, above: 1, do: pray}")}), Contains("do"));
}

TEST_CASE("Skipping ordinary steps is refused") {
  CHECK_THAT(refusal_with({"train.skip_above=0.9"}),
             Contains("train.skip_above: 0.9 would skip ordinary steps"));
  CHECK_THAT(refusal_with({"train.skip_above=1"}),
             Contains("train.skip_above: 1 would skip ordinary steps"));
  CHECK(config_with({"train.skip_above=1.5"}).train.skip_above == 1.5);
  CHECK(config_with({"train.skip_above=0"}).train.skip_above == 0.0);
}

TEST_CASE("Only a model that is not trained here has neither steps nor data") {
  const std::vector<std::string> imported = {"train.max_steps=0", "schedule.warmup_steps=0"};
  const auto with_data = [&](const std::string& data) {
    auto overrides = imported;
    overrides.push_back(data);
    return refusal_with(overrides);
  };
  CHECK(with_data("data.train=[]") == "accepted");
  CHECK_THAT(with_data("data.train=[{path: d}]"),
             Contains("train.max_steps: must be at least 1, not 0"));
  CHECK_THAT(refusal_with({"data.train=[]"}), Contains("data.train: missing"));
}

TEST_CASE("One mistake is not reported by every check that depends on it") {
  for (const std::string bad : {"model.hidden_size=0",
                                "model.num_attention_heads=x",
                                "model.num_key_value_heads=0",
                                "model.num_hidden_layers=-3",
                                "model.self_attn_type=both",
                                "model.layer_group_size=0",
                                "model.global_layer=middle",
                                "model.attention_pattern=[]",
                                "model.head_dim=1",
                                "model.rope_scaling.type=ntk",
                                "data.sequence_length=0",
                                "train.max_steps=0",
                                "train.global_batch_size=0",
                                "train.micro_batch_size=0",
                                "schedule.type=linear",
                                "schedule.warmup_steps=-1",
                                "schedule.decay_steps=0",
                                "eval.every_steps=-1",
                                "eval.max_tokens=0",
                                "train.skip_above=-1",
                                "model={}x",
                                "data.validation=3",
                                "model.max_position_embeddings=0",
                                "model.rope_scaling.factor=0"}) {
    INFO(bad);
    const std::string message = refusal_with({bad});
    CHECK(message != "accepted");
    CHECK(std::count(message.begin(), message.end(), '\n') == 0);
  }
}

TEST_CASE("Sizes that no machine holds, and 64 bits do not count, are refused") {
  const std::string huge = "=4611686018427387904";  // 2^62
  for (const std::string key : {"model.hidden_size", "model.intermediate_size", "model.vocab_size",
                                "data.sequence_length", "train.max_steps"}) {
    INFO(key);
    const std::string message = refusal_with({key + huge, "model.head_dim=8"});
    CHECK(message != "accepted");
    CHECK(std::count(message.begin(), message.end(), '\n') == 0);
  }
  CHECK_THAT(refusal_with({"data.sequence_length" + huge}),
             Contains("data.sequence_length: a micro-batch would take ") &&
                 Contains("lower it, train.micro_batch_size, or the sizes of model"));
  CHECK(refusal_with({"data.sequence_length=1000000"}) == "accepted");
}
