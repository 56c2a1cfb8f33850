#include "config/model_config.h"

#include "support/catch.h"
#include "support/models.h"

namespace zebra {
namespace {

TEST_CASE("kinds follow the letters, and letters the kinds") {
  const auto layers = layers_of_pattern("GLG");
  REQUIRE(layers == std::vector{LayerKind::global, LayerKind::local, LayerKind::global});
  REQUIRE(pattern_of(layers) == "GLG");
  REQUIRE(kind_name(layers[0]) + kind_name(layers[1]) == "globallocal");
}

TEST_CASE("layers are counted by kind") {
  const auto model = testing::small_model("GLL");
  REQUIRE(model.num_hidden_layers() == 3);
  REQUIRE(model.layers_of(LayerKind::global) == 1);
  REQUIRE(model.layers_of(LayerKind::local) == 2);
  REQUIRE(model.has(LayerKind::local));
  const auto full = with_full_attention(model);
  REQUIRE_FALSE(full.has(LayerKind::local));
  REQUIRE(full.num_hidden_layers() == 3);
}

TEST_CASE("sinks, thetas and scalings are those of the kind of layer") {
  auto model = testing::small_model();
  REQUIRE_FALSE(model.has_sink(LayerKind::local));
  model.attention_sink = AttentionSink::local;
  REQUIRE(model.has_sink(LayerKind::local));
  REQUIRE_FALSE(model.has_sink(LayerKind::global));
  model.attention_sink = AttentionSink::all;
  REQUIRE(model.has_sink(LayerKind::local));
  REQUIRE(model.has_sink(LayerKind::global));
  model.global_rope_theta = 0.0;
  model.local_rope_theta = 500.0;
  REQUIRE(model.rope_theta_of(LayerKind::global) == 0.0);
  REQUIRE(model.rope_theta_of(LayerKind::local) == 500.0);
  model.rope_scaling = {.type = RopeScaling::linear, .factor = 2.0};
  REQUIRE(model.rope_scaling_of(LayerKind::local) == model.rope_scaling);
  model.rope_scaling.layers = ScaledLayers::global;
  REQUIRE(model.rope_scaling_of(LayerKind::global) == model.rope_scaling);
  REQUIRE(model.rope_scaling_of(LayerKind::local) == RopeScalingConfig());
}

TEST_CASE("layers that are computed again") {
  REQUIRE_FALSE(is_recomputed(ActivationCheckpointing::none, 0));
  REQUIRE(is_recomputed(ActivationCheckpointing::full, 1));
  REQUIRE(is_recomputed(ActivationCheckpointing::selective, 1));
  REQUIRE(is_recomputed(ActivationCheckpointing::every_2, 0));
  REQUIRE_FALSE(is_recomputed(ActivationCheckpointing::every_2, 1));
}

TEST_CASE("a window in every convention's words") {
  REQUIRE(window_in_words(512) ==
          "512 previous + itself = 513 keys (HF sliding_window 513, FlashAttention (512, 0))");
  REQUIRE(window_in_words(0) ==
          "0 previous + itself = 1 key (HF sliding_window 1, FlashAttention (0, 0))");
}

TEST_CASE("the packed projection holds all query, key and value heads") {
  REQUIRE(testing::small_model().packed_projection_width() == (4 + 2 * 2) * 6);
}

}  // namespace
}  // namespace zebra
