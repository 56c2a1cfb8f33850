#include "config/model_base.h"

#include "config/run_file.h"
#include "support/catch.h"

using namespace zebra;
using Catch::Matchers::Contains;

namespace {

const std::string kWithoutModel =
    "run: {dir: r}\n"
    "data: {tokenizer: t, train: [{path: a}], sequence_length: 4096}\n"
    "train: {max_steps: 9, global_batch_size: 1}\n";

ModelSection model_of(const std::string& preset, std::vector<std::string> overrides = {}) {
  overrides.insert(overrides.begin(), "model.preset=" + preset);
  return parse_run_file(kWithoutModel, "run.yaml", overrides).model;
}

}  // namespace

TEST_CASE("Every preset is a whole model whose heads fill its width") {
  CHECK(preset_names() == std::vector<std::string>{"zebra-tiny", "zebra-125m", "zebra-350m",
                                                   "zebra-1.3b", "zebra-7b"});
  for (const std::string& name : preset_names()) {
    INFO(name);
    REQUIRE(find_preset(name) != nullptr);
    const ModelSection model = model_of(name);
    CHECK(*model.head_dim * model.num_attention_heads == model.hidden_size);
    CHECK(model.window_size.has_value());
  }
  CHECK(find_preset("zebra-9000b") == nullptr);
}

TEST_CASE("Presets have the shapes they are named for") {
  const ModelSection tiny = model_of("zebra-tiny");
  CHECK(tiny.hidden_size == 128);
  CHECK(tiny.num_key_value_heads == 2);
  CHECK(tiny.attention_pattern == "GLLGLL");
  const ModelSection medium = model_of("zebra-1.3b");
  CHECK(medium.num_hidden_layers == 24);
  CHECK(medium.head_dim == 128);
  const ModelSection large = model_of("zebra-7b");
  CHECK(large.hidden_size == 4096);
  CHECK(large.intermediate_size == 11008);
  CHECK(large.num_hidden_layers == 32);
  CHECK(large.num_attention_heads == 32);
  CHECK(large.num_key_value_heads == 32);
  CHECK(large.vocab_size == 32000);
  CHECK(large.rms_norm_eps == 1e-5);
  CHECK(large.max_position_embeddings == 4096);
  CHECK(large.window_size == 512);
  CHECK(large.attention_pattern == "GLLLGLLLGLLLGLLLGLLLGLLLGLLLGLLL");
}

TEST_CASE("Keys beside a preset win, wherever each is written") {
  CHECK(model_of("zebra-tiny", {"model.hidden_size=64"}).hidden_size == 64);
  CHECK(model_of("zebra-tiny", {"model.hidden_size=64"}).intermediate_size == 352);
  CHECK(parse_run_file(kWithoutModel + "model: {hidden_size: 64, preset: zebra-tiny}\n", "r")
            .model.hidden_size == 64);
  CHECK(
      parse_run_file(kWithoutModel + "model: {hidden_size: 64}\n", "r", {"model.preset=zebra-tiny"})
          .model.hidden_size == 64);
  CHECK(parse_run_file(kWithoutModel + "model: {preset: zebra-7b}\n", "r",
                       {"model.preset=zebra-tiny"})
            .model.hidden_size == 128);
}

TEST_CASE("An unknown preset names the nearest and all others, and nothing else is missed") {
  CHECK(refusal_of(kWithoutModel + "model: {preset: zebra-120m}\n") ==
        "run.yaml:4: model.preset: \"zebra-120m\" is not one of zebra-tiny, zebra-125m, "
        "zebra-350m, zebra-1.3b, zebra-7b; "
        "did you mean zebra-125m?");
  CHECK_THAT(refusal_of(kWithoutModel, {"model.preset=gpt2"}),
             Contains("--set model.preset=gpt2: model.preset: \"gpt2\" is not one of zebra-tiny"));
  CHECK_THAT(refusal_of(kWithoutModel, {"model.preset=[zebra-tiny]"}),
             Contains("model.preset: must be text, not a list"));
}

TEST_CASE("A mistake beside a preset stands in the run file") {
  CHECK_THAT(refusal_of(kWithoutModel + "model:\n  preset: zebra-tiny\n  window_size:\n"),
             Contains("run.yaml:6: model.window_size: missing, but 4 of 6 layers are local"));
  CHECK_THAT(
      refusal_of(kWithoutModel + "model:\n  preset: zebra-tiny\n  num_attention_heads: 3\n"),
      Contains("preset zebra-tiny: model.hidden_size: 128 is not a multiple of the 3 heads"));
}
