#include "plan/model_cost.h"

#include "model/zebra_model.h"
#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct Row {
  std::int64_t length;
  double attention, whole, full_gib, zebra_gib;
};

TEST_CASE("costs of Llama-2-7B's shape with L = 4, W = 512") {
  const Row row =
      GENERATE(Row{4096, 0.426, 0.957, 2.0, 0.69}, Row{8192, 0.341, 0.908, 4.0, 1.19},
               Row{16384, 0.296, 0.827, 8.0, 2.19}, Row{32768, 0.273, 0.714, 16.0, 4.19},
               Row{65536, 0.262, 0.583, 32.0, 8.19}, Row{131072, 0.256, 0.463, 64.0, 16.2});
  const auto zebra = llama_7b(4), full = llama_7b(1);
  const auto ours = forward_flops_per_token(zebra, row.length),
             theirs = forward_flops_per_token(full, row.length);
  const double attention = (ours.global_attention + ours.local_attention) / theirs.global_attention;
  const double gib = 1024.0 * 1024.0 * 1024.0;
  REQUIRE(attention == Approx(row.attention).margin(6e-4));
  REQUIRE(ours.total() / theirs.total() == Approx(row.whole).margin(6e-4));
  REQUIRE(static_cast<double>(key_value_cache_bytes(full, row.length, 2)) / gib ==
          Approx(row.full_gib).margin(0.005));
  REQUIRE(static_cast<double>(key_value_cache_bytes(zebra, row.length, 2)) / gib ==
          Approx(row.zebra_gib).margin(0.03));
}

TEST_CASE("the mean number of visible keys is the average over the tokens") {
  for (const std::int64_t window : {0, 1, 5, 16, 40}) {
    for (const std::int64_t length : {1, 2, 6, 17, 40}) {
      double local = 0, global = 0;
      for (std::int64_t t = 0; t < length; ++t) {
        local += static_cast<double>(std::min(t, window) + 1);
        global += static_cast<double>(t + 1);
      }
      REQUIRE(mean_visible_keys(LayerKind::local, window, length) ==
              Approx(local / static_cast<double>(length)));
      REQUIRE(mean_visible_keys(LayerKind::global, window, length) ==
              Approx(global / static_cast<double>(length)));
    }
  }
}

TEST_CASE("counted parameters are the model's") {
  auto section = small_model();
  section.tie_word_embeddings = GENERATE(true, false);
  section.qk_norm = GENERATE(false, true);
  section.attention_sink = GENERATE(false, true);
  ZebraModel model(section);
  std::int64_t total = 0;
  for (const auto& parameter : model->parameters()) total += parameter.numel();
  REQUIRE(count_parameters(section).total() == total);
}

}  // namespace
}  // namespace zebra
