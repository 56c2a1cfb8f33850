#include "plan/model_cost.h"

#include "config/window_schedule.h"
#include "model/zebra_model.h"
#include "support/counting_allocator.h"
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

TEST_CASE("FLOPs of a training are the mean over its steps") {
  Config config;
  config.model = small_model("GLLG");
  config.model.window_size = 30;
  config.data.sequence_length = 50;
  config.train.max_steps = 90;
  SECTION("at once") {}
  SECTION("stages by fractions") {
    config.model.window_schedule = {{{0.1, 0}, 2}, {{0.55, 0}, 11}};
  }
  SECTION("stages by steps") { config.model.window_schedule = {{{0.0, 1}, 2}, {{0.0, 60}, 11}}; }
  SECTION("warm-up") { config.schedule.window_warmup_steps = GENERATE(1, 40, 200); }
  double sum = 0;
  for (std::int64_t step = 1; step <= 90; ++step) {
    auto model = config.model;
    model.window_size = window_at(config, step);
    sum += forward_flops_per_token(model, 50).total();
    const auto mean = mean_forward_flops_per_token(config, step);
    REQUIRE(mean.total() == Approx(sum / static_cast<double>(step)).epsilon(1e-12));
    REQUIRE(mean.head == forward_flops_per_token(model, 50).head);
  }
  REQUIRE(mean_forward_flops_per_token(config).total() == Approx(sum / 90).epsilon(1e-12));
  config.train.max_steps = 0;
  REQUIRE(mean_forward_flops_per_token(config).total() ==
          forward_flops_per_token(config.model, 50).total());
}

TEST_CASE("counted parameters are the model's") {
  auto section = small_model();
  section.tie_word_embeddings = GENERATE(true, false);
  section = with_options(section, GENERATE(ModelOptions::none, ModelOptions::heads_normed,
                                           ModelOptions::projections_normed));
  ZebraModel model(section);
  std::int64_t total = 0;
  for (const auto& parameter : model->parameters()) total += parameter.numel();
  REQUIRE(count_parameters(section).total() == total);
}

constexpr std::int64_t kTokens = 3 * 50;

// 24 wide, 40 in the feed-forward part, 53 rows; queries 24, keys and values 12 each, 4 heads.
Config activation_config(ActivationCheckpointing mode, const std::string& pattern = "GLLG") {
  Config config;
  config.model = small_model(pattern);
  config.data.sequence_length = 50;
  config.train.micro_batch_size = 3;
  config.train.precision = Precision::bf16;
  config.train.activation_checkpointing = mode;
  return config;
}

// A block's tensors, one by one, in bytes.
constexpr std::int64_t kMatrices = 2 * (24 + 24 + (24 + 12 + 12)  // input, normed, packed q, k, v
                                        + 24 + 24                 // before and after the other norm
                                        + 80);                    // gate and up
constexpr std::int64_t kNorms = 2 * 4;
constexpr std::int64_t kResult = 2 * 24 + 4 * 4;  // attention's, and a log-sum-exp a head
constexpr std::int64_t kRotatedKeys = 2 * 12, kRotatedQueries = 2 * 24;
constexpr std::int64_t kLocal = kMatrices + kNorms + kResult + kRotatedKeys;
constexpr std::int64_t kGlobal = kLocal + kRotatedQueries;
constexpr std::int64_t kInput = 2 * 24;
constexpr std::int64_t kHead = kTokens * 3 * 2 * 24 + 4 * 53 * 24;

TEST_CASE("everything that backward reads is kept, or again made from what is kept") {
  const auto none = activation_bytes(activation_config(ActivationCheckpointing::none));
  REQUIRE(none.blocks == kTokens * (2 * kGlobal + 2 * kLocal));
  REQUIRE(none.at_work == kHead);

  const auto full = activation_bytes(activation_config(ActivationCheckpointing::full));
  REQUIRE(full.blocks == kTokens * 4 * kInput);
  // When the last block, a global one, is computed again, the head's are gone.
  REQUIRE(full.at_work == std::max(kHead, kTokens * (kGlobal - kInput)));

  const auto selective = activation_bytes(activation_config(ActivationCheckpointing::selective));
  REQUIRE(selective.blocks == kTokens * (4 * (kInput + kResult) + 2 * kRotatedKeys));

  const auto every_2 = activation_bytes(activation_config(ActivationCheckpointing::every_2));
  REQUIRE(every_2.blocks == kTokens * (2 * kInput + kGlobal + kLocal));
  REQUIRE(every_2.at_work == kHead);
  REQUIRE(every_2.total() == every_2.blocks + every_2.at_work);
}

TEST_CASE("QK-norm keeps queries and keys twice, and a number a norm") {
  auto normed = activation_config(ActivationCheckpointing::none);
  normed.model.qk_norm = GENERATE(QkNorm::head, QkNorm::projection);
  const int norms = normed.model.qk_norm == QkNorm::head ? 4 + 2 : 1 + 1;
  REQUIRE(activation_bytes(normed).blocks -
              activation_bytes(activation_config(ActivationCheckpointing::none)).blocks ==
          kTokens * 4 * (2 * (24 + 12) + 4 * norms));
}

TEST_CASE("global layers with sinks keep what local ones keep") {
  auto config = activation_config(ActivationCheckpointing::none);
  config.model.attention_sink = AttentionSink::all;
  REQUIRE(activation_bytes(config).blocks == kTokens * 4 * kLocal);
  config.model.attention_sink = AttentionSink::local;
  REQUIRE(activation_bytes(config).blocks == kTokens * (2 * kGlobal + 2 * kLocal));
}

TEST_CASE("a block computed again counts with what the blocks before it keep") {
  auto wide = activation_config(ActivationCheckpointing::every_2, "LLG");
  wide.model.vocab_size = 1;  // almost no head
  const auto head = kTokens * 3 * 2 * 24 + 4 * 24;
  const auto kept = kTokens * (2 * kInput + kLocal);
  const auto last_again = kTokens * (kInput + kLocal + kGlobal);
  REQUIRE(activation_bytes(wide).total() == std::max(kept + head, last_again));
  REQUIRE(last_again > kept + head);
}

// What follows is not the plan's arithmetic again, but what LibTorch's allocator was asked for.

/// Bytes that are there after the forward pass and were not before it.
std::int64_t bytes_kept(const Config& run) {
  ZebraModel model(run.model);
  model->initialize(1);
  model->to(torch::kBFloat16);
  model->set_activation_checkpointing(run.train.activation_checkpointing);
  const auto tokens = torch::randint(
      run.model.vocab_size, {run.train.micro_batch_size, run.data.sequence_length}, torch::kInt64);
  const CountingAllocator counting;
  const CountingAllocator::Account account(0);
  const auto sums = model->loss(tokens, tokens);
  return counting.now(0).at("");
}

/// Bytes that the layers of `deep` keep which `shallow` does not have: what all layers share is not
/// counted.
struct Growth {
  std::int64_t counted, planned;

  Growth(const Config& deep, const Config& shallow)
      : counted(bytes_kept(deep) - bytes_kept(shallow)),
        planned(activation_bytes(deep).blocks - activation_bytes(shallow).blocks) {}
};

TEST_CASE("four more local layers keep as many bytes as planned, in every mode") {
  using enum ActivationCheckpointing;
  // Only the kernel for CUDA keeps rotated keys; that for the CPU rotates them again.
  const auto [mode, layers_with_rotated_keys] = GENERATE(
      std::pair{none, 4}, std::pair{selective, 4}, std::pair{full, 0}, std::pair{every_2, 2});
  auto deep = activation_config(mode, "LLLLLL"), shallow = activation_config(mode, "LL");
  deep.model.qk_norm = shallow.model.qk_norm =
      GENERATE(QkNorm::none, QkNorm::head, QkNorm::projection);
  deep.model.norm_placement = shallow.model.norm_placement =
      GENERATE(NormPlacement::pre, NormPlacement::reordered);
  const Growth growth(deep, shallow);
  REQUIRE(growth.counted == growth.planned - layers_with_rotated_keys * kTokens * kRotatedKeys);
}

// Where nothing but the input is kept, the kernel does not matter. (What global layers keep
// otherwise is planned for CUDA; on the CPU our kernel computes them too.)
TEST_CASE("global layers that are computed again keep as many bytes as planned") {
  const auto mode = ActivationCheckpointing::full;
  const Growth growth(activation_config(mode, "GGLGG"), activation_config(mode, "GL"));
  REQUIRE(growth.counted == growth.planned);
}

}  // namespace
}  // namespace zebra
