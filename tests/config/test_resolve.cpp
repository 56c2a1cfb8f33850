#include "config/resolve.h"

#include <algorithm>

#include "config/run_file.h"
#include "support/catch.h"

using namespace zebra;
using Catch::Matchers::Contains;

namespace {

std::string pattern_for(int layers, std::vector<std::string> overrides) {
  overrides.push_back("model.num_hidden_layers=" + std::to_string(layers));
  return *config_with(overrides).model.attention_pattern;
}

}  // namespace

TEST_CASE("The layout follows from the short forms") {
  // Group 4 and the first layer by default.
  CHECK(pattern_for(5, {}) == "GLLLG");
  CHECK(pattern_for(8, {"model.self_attn_type=mix"}) == "GLLLGLLL");
  CHECK(pattern_for(7, {"model.layer_group_size=3"}) == "GLLGLLG");
  CHECK(pattern_for(7, {"model.layer_group_size=3", "model.global_layer=first"}) == "GLLGLLG");
  CHECK(pattern_for(7, {"model.layer_group_size=3", "model.global_layer=last"}) == "LLGLLGL");
  CHECK(pattern_for(6, {"model.layer_group_size=2", "model.global_layer=last"}) == "LGLGLG");
  CHECK(pattern_for(5, {"model.layer_group_size=1"}) == "GGGGG");
  CHECK(pattern_for(5, {"model.layer_group_size=1", "model.global_layer=last"}) == "GGGGG");
  CHECK(pattern_for(3, {"model.layer_group_size=9"}) == "GLL");
  CHECK(pattern_for(3, {"model.layer_group_size=9", "model.global_layer=last"}) == "LLL");
  CHECK(pattern_for(1, {}) == "G");
  CHECK(pattern_for(5, {"model.self_attn_type=full", "model.layer_group_size=2"}) == "GGGGG");
  CHECK(pattern_for(4, {"model.self_attn_type=local"}) == "LLLL");
}

TEST_CASE("The number of global layers is ceil(n / L) first, floor(n / L) last") {
  for (int layers = 1; layers <= 13; ++layers) {
    for (int group = 1; group <= 15; ++group) {
      const std::string size = "model.layer_group_size=" + std::to_string(group);
      const std::string first = pattern_for(layers, {size});
      const std::string last = pattern_for(layers, {size, "model.global_layer=last"});
      CHECK(std::count(first.begin(), first.end(), 'G') == (layers + group - 1) / group);
      CHECK(std::count(last.begin(), last.end(), 'G') == layers / group);
      CHECK(first.front() == 'G');
    }
  }
}

TEST_CASE("A pattern repeats, is cut to the layers, and overrides the short forms") {
  CHECK(pattern_for(8, {"model.attention_pattern=GLLL"}) == "GLLLGLLL");
  CHECK(pattern_for(7, {"model.attention_pattern=LLG"}) == "LLGLLGL");
  CHECK(pattern_for(5, {"model.attention_pattern=G"}) == "GGGGG");
  CHECK(pattern_for(3, {"model.attention_pattern=LGL"}) == "LGL");
  CHECK(pattern_for(4, {"model.attention_pattern=LG", "model.self_attn_type=full",
                        "model.layer_group_size=3"}) == "LGLG");
}

TEST_CASE("Patterns that mean nothing are refused") {
  const std::string letters = "must consist of the letters G (global) and L (local)";
  CHECK(refusal_with({"model.attention_pattern=GLX"}) ==
        "--set model.attention_pattern=GLX: model.attention_pattern: \"GLX\" " + letters);
  CHECK_THAT(refusal_with({"model.attention_pattern=gl"}), Contains(letters));
  CHECK_THAT(refusal_with({"model.attention_pattern=''"}),
             Contains("model.attention_pattern: must not be empty"));
  CHECK_THAT(
      refusal_with({"model.attention_pattern=GLLLGL"}),
      Contains("model.attention_pattern: has 6 letters for 5 layers (model.num_hidden_layers)"));
}

TEST_CASE("Layers forced global are so in every layout") {
  const std::string last = "model.always_global=last", both = "model.always_global=both";
  CHECK(pattern_for(5, {"model.layer_group_size=3", "model.always_global=none"}) == "GLLGL");
  CHECK(pattern_for(5, {"model.layer_group_size=3", last}) == "GLLGG");
  CHECK(pattern_for(5, {"model.self_attn_type=local", "model.always_global=first"}) == "GLLLL");
  CHECK(pattern_for(5, {"model.self_attn_type=local", both}) == "GLLLG");
  CHECK(pattern_for(5, {"model.attention_pattern=LLG", both}) == "GLGLG");
  CHECK(pattern_for(1, {"model.self_attn_type=local", last}) == "G");
}

TEST_CASE("Short forms and the preset are gone after resolution") {
  const ModelSection model = config_with({"model.preset=zebra-tiny", "model.self_attn_type=mix",
                                          "model.layer_group_size=2", "model.global_layer=last",
                                          "model.always_global=both"})
                                 .model;
  CHECK_FALSE(model.always_global.has_value());
  CHECK_FALSE(model.preset.has_value());
  CHECK_FALSE(model.self_attn_type.has_value());
  CHECK_FALSE(model.layer_group_size.has_value());
  CHECK_FALSE(model.global_layer.has_value());
}

TEST_CASE("Absent sizes follow from others, given ones stay") {
  const RunFile derived = config_with({});
  CHECK(derived.model.num_key_value_heads == 6);
  CHECK(derived.model.head_dim == 8);
  CHECK(derived.model.max_position_embeddings == 33);
  CHECK(derived.model.vocab_size == std::nullopt);
  CHECK(derived.model.global_rope_theta == std::nullopt);
  CHECK(derived.model.local_rope_theta == std::nullopt);
  CHECK(derived.run.name == "odd");
  const RunFile given =
      config_with({"model.num_key_value_heads=2", "model.head_dim=10", "run.name=mine",
                   "model.max_position_embeddings=77", "model.global_rope_theta=0"});
  CHECK(given.model.num_key_value_heads == 2);
  CHECK(given.model.head_dim == 10);
  CHECK(given.model.max_position_embeddings == 77);
  CHECK(given.model.global_rope_theta == 0.0);
  CHECK(given.run.name == "mine");
}

TEST_CASE("A head size that does not come out even must be given") {
  CHECK(refusal_with({"model.num_attention_heads=7"}) ==
        "run.yaml:2: model.hidden_size: 48 is not a multiple of the 7 heads "
        "(model.num_attention_heads); change one of "
        "them, or give model.head_dim");
  CHECK(config_with({"model.num_attention_heads=7", "model.head_dim=8"}).model.head_dim == 8);
}

TEST_CASE("The micro batch is by default what a rank has to do") {
  CHECK(config_with({"train.micro_batch_size="}, 3).train.micro_batch_size == 4);
  CHECK(config_with({}, 3).train.micro_batch_size == 2);
}

TEST_CASE("wsd decays over the last fifth unless told otherwise") {
  const auto steps = [](const std::vector<std::string>& overrides) {
    const RunFile config = config_with(overrides);
    return decay_steps(config.schedule, config.train.max_steps);
  };
  CHECK(steps({"schedule.type=wsd"}) == 4);
  CHECK(steps({"schedule.type=wsd", "schedule.decay_steps=7"}) == 7);
  CHECK(steps({"schedule.type=wsd", "schedule.warmup_steps=0", "train.max_steps=2"}) == 1);
  CHECK(config_with({"schedule.type=wsd"}).schedule.decay_steps == std::nullopt);
}

TEST_CASE("The vocabulary is the tokenizer's unless a larger one is given") {
  CHECK(resolve(config_with({}), 300).model.vocab_size == 300);
  CHECK(resolve(config_with({"model.vocab_size=320"}), 300).model.vocab_size == 320);
  CHECK(resolve(config_with({"model.vocab_size=300"}), 300).model.vocab_size == 300);
  CHECK_THROWS_WITH(
      resolve(config_with({"model.vocab_size=299", "data.tokenizer=/t"}), 300),
      "model.vocab_size: 299 is less than the 300 pieces of /t; leave it out, or set at least 300");
}

TEST_CASE("Without a tokenizer the file must name the vocabulary") {
  CHECK(resolve(config_with({"model.vocab_size=17"})).model.vocab_size == 17);
  CHECK_THROWS_AS(resolve(config_with({})), InputError);
  CHECK_THROWS_WITH(resolve(config_with({"run.dir=/r/odd"})),
                    Contains("model.vocab_size: missing from /r/odd's configuration"));
}

TEST_CASE("Each kind of layer has the model's theta unless it has its own") {
  const auto model_with = [](const std::vector<std::string>& overrides) {
    return resolve(config_with(overrides), 9).model;
  };
  const auto plain = model_with({"model.rope_theta=500"});
  CHECK(plain.global_rope_theta == 500.0);
  CHECK(plain.local_rope_theta == 500.0);
  const auto own = model_with({"model.global_rope_theta=0", "model.local_rope_theta=7"});
  CHECK(own.rope_theta == 10000.0);
  CHECK(own.global_rope_theta == 0.0);
  CHECK(own.local_rope_theta == 7.0);
}

TEST_CASE("A resolved model leaves nothing open") {
  const Config config = resolve(config_with({"optimizer.lr=0.25"}), 9);
  CHECK(pattern_of(config.model.layers) == "GLLLG");
  CHECK(config.model.num_key_value_heads == 6);
  CHECK(config.model.head_dim == 8);
  CHECK(config.model.max_position_embeddings == 33);
  CHECK(config.model.window_size == 7);
  CHECK(config.model.init_from.empty());
  CHECK(config.model.rope_scaling == RopeScalingConfig());
  CHECK(config.optimizer.lr == 0.25);
  const auto full =
      resolve(config_with({"model.window_size=", "model.self_attn_type=full"}), 9).model;
  CHECK(full.window_size == 0);
  CHECK(pattern_of(full.layers) == "GGGGG");
}

TEST_CASE("A resolved run is written so that it resolves to the same") {
  const std::vector<std::vector<std::string>> runs = {
      {},
      {"model.window_size=0"},
      {"model.window_size=", "model.self_attn_type=full"},
      {"model.self_attn_type=full"},
      {"model.attention_pattern=LGL", "model.global_rope_theta=0", "model.rope_theta=77"},
      {"model.global_rope_theta=10000", "model.local_rope_theta=3", "model.qk_norm=true"},
      {"model.rope_scaling={type: yarn, factor: 4, original_max_position_embeddings: 16, "
       "beta_fast: 31, beta_slow: 2, layers: global}",
       "model.attention_sink=true", "model.rms_norm_eps=1e-4", "model.initializer_range=0.3"},
      {"model.rope_scaling={type: llama3, factor: 8, original_max_position_embeddings: 16, "
       "low_freq_factor: 2, high_freq_factor: 3}",
       "model.norm_placement=reordered", "model.qk_norm=projection", "model.attention_sink=all"},
      {"model.norm_placement=pre"},
      {"model.num_key_value_heads=2", "model.tie_word_embeddings=true", "model.vocab_size=400"}};
  for (const auto& overrides : runs) {
    RunFile file = config_with(overrides);
    if (file.model.qk_norm == QkNorm::head) file.model.init_from = "/gone";
    const Config config = resolve(file, 300);
    const std::string yaml = to_yaml(config);
    INFO(yaml);
    const Config again = resolve(parse_run_file(yaml, "resolved.yaml"));
    CHECK(again.model == config.model);
    CHECK(differences(config, again).empty());
    CHECK(to_yaml(again) == yaml);
  }
}

namespace {

/// Of kRunFile, whose steps take 12 x 33 = 396 tokens, with its steps left to tokens.
RunFile in_tokens(const std::vector<std::string>& overrides) {
  std::vector<std::string> all = {"schedule.warmup_steps="};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return config_with(all);
}

}  // namespace

TEST_CASE("Lengths in tokens become whole steps, rounded down, at least one") {
  const auto warmup = [](const std::string& tokens, const std::vector<std::string>& more = {}) {
    std::vector<std::string> all = {"schedule.warmup_tokens=" + tokens};
    all.insert(all.end(), more.begin(), more.end());
    return in_tokens(all).schedule.warmup_steps;
  };
  CHECK(warmup("1583") == 3);
  CHECK(warmup("1584") == 4);
  CHECK(warmup("1584", {"train.global_batch_size=24"}) == 2);
  CHECK(warmup("1584", {"data.sequence_length=11"}) == 12);
  CHECK(warmup("1") == 1);
  CHECK(warmup("0") == 0);
  CHECK(warmup("1.584e3") == 4);
  const auto file = in_tokens({"train.max_steps=", "train.max_tokens=7920", "schedule.type=wsd",
                               "schedule.warmup_tokens=0", "schedule.decay_tokens=2000",
                               "schedule.window_warmup_tokens=1200"});
  CHECK(file.train.max_steps == 20);
  CHECK(file.schedule.warmup_steps == 0);
  CHECK(file.schedule.decay_steps == 5);
  CHECK(file.schedule.window_warmup_steps == 3);
  // The resolved file has the steps alone, and is read back to the same.
  const auto yaml = to_yaml(file);
  for (const std::string key : {"warmup_tokens", "decay_tokens", "  max_tokens: 7920"})
    CHECK(yaml.find(key) == std::string::npos);
  CHECK(to_yaml(parse_run_file(yaml, "resolved.yaml")) == yaml);
}

TEST_CASE("The parts of a schedule in tokens fit into the whole, whatever the batch") {
  for (std::int64_t batch = 2; batch < 80; batch += 2) {
    INFO(batch);
    const auto file = in_tokens({"train.max_steps=", "train.max_tokens=21000", "schedule.type=wsd",
                                 "schedule.warmup_tokens=10001", "schedule.decay_tokens=10999",
                                 "train.global_batch_size=" + std::to_string(batch)});
    CHECK(file.train.max_steps == 21000 / (batch * 33));
    CHECK(file.schedule.warmup_steps == 10001 / (batch * 33));
    CHECK(*file.schedule.decay_steps == 10999 / (batch * 33));
  }
}

TEST_CASE("A length is given in steps or in tokens, once") {
  CHECK(refusal_with({"schedule.warmup_tokens=1000"}) ==
        "run.yaml:5: schedule.warmup_steps: and schedule.warmup_tokens both say how long it is; "
        "remove one of them, or leave it out with --set schedule.warmup_steps=");
  CHECK(refusal_with({"train.max_tokens=1000"}) ==
        "run.yaml:6: train.max_steps: and train.max_tokens both say how long it is; remove one of "
        "them, or leave it out with --set train.max_steps=");
  CHECK(refusal_with({"schedule.type=wsd", "schedule.decay_steps=2", "schedule.decay_tokens=1000",
                      "schedule.window_warmup_steps=1", "schedule.window_warmup_tokens=1"}) ==
        "--set schedule.decay_steps=2: schedule.decay_steps: and schedule.decay_tokens both say "
        "how long it is; remove one of them, or leave it out with --set schedule.decay_steps=\n"
        "--set schedule.window_warmup_steps=1: schedule.window_warmup_steps: and "
        "schedule.window_warmup_tokens both say how long it is; remove one of them, or leave it "
        "out with --set schedule.window_warmup_steps=");
  std::string yaml = kRunFile;
  yaml.replace(yaml.find("max_steps: 21, "), 15, "");
  CHECK(refusal_of(yaml) ==
        "run.yaml:6: train.max_steps: missing, and it has no default; give it, or "
        "train.max_tokens");
  CHECK(refusal_of(yaml, {"train.max_tokens=0"}) ==
        "--set train.max_tokens=0: train.max_tokens: must be at least 1, not 0");
  CHECK(refusal_of(yaml, {"train.max_tokens=10000", "train.global_batch_size=0"}) ==
        "--set train.global_batch_size=0: train.global_batch_size: must be from 1 to 1073741824, "
        "not 0");
  CHECK(refusal_of(yaml, {"train.max_tokens=800"}) ==
        "run.yaml:5: schedule.warmup_steps: 3 is more than train.max_steps (2); lower it");
  // Where it follows from tokens, the place is theirs.
  CHECK(refusal_with({"schedule.decay_tokens=800"}) ==
        "--set schedule.decay_tokens=800: schedule.decay_steps: only wsd uses it; remove it, or "
        "give schedule.type: wsd");
  CHECK(refusal_with({"schedule.warmup_steps="}) ==
        "--set schedule.warmup_steps=: schedule.warmup_steps: has no value; give one, or remove "
        "the key");
}
