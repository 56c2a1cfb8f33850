#include "config/model_config.h"

#include "support/catch.h"
#include "support/models.h"

namespace zebra {
namespace {

TEST_CASE("kinds follow the letters") {
  REQUIRE(layer_kinds(testing::small_model("GLG")) ==
          std::vector{LayerKind::global, LayerKind::local, LayerKind::global});
}

TEST_CASE("a window in every convention's words") {
  REQUIRE(window_in_words(512) ==
          "512 previous + itself = 513 keys (HF sliding_window 513, FlashAttention (512, 0))");
  REQUIRE(window_in_words(0) ==
          "0 previous + itself = 1 key (HF sliding_window 1, FlashAttention (0, 0))");
}

TEST_CASE("the packed projection holds all query, key and value heads") {
  REQUIRE(packed_projection_width(testing::small_model()) == (4 + 2 * 2) * 6);
}

}  // namespace
}  // namespace zebra
