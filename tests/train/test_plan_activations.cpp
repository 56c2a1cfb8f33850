#include "plan/activation_memory.h"

#include "support/catch.h"
#include "support/models.h"

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr std::int64_t kTokens = 3 * 50;

// 24 wide, 40 in the feed-forward part, 53 rows; queries 24, keys and values 12 each, 4 heads.
Config config(ActivationCheckpointing mode, const std::string& pattern = "GLLG") {
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
  const auto none = activation_bytes(config(ActivationCheckpointing::none));
  REQUIRE(none.blocks == kTokens * (2 * kGlobal + 2 * kLocal));
  REQUIRE(none.at_work == kHead);

  const auto full = activation_bytes(config(ActivationCheckpointing::full));
  REQUIRE(full.blocks == kTokens * 4 * kInput);
  // When the last block, a global one, is computed again, the head's are gone.
  REQUIRE(full.at_work == std::max(kHead, kTokens * (kGlobal - kInput)));

  const auto selective = activation_bytes(config(ActivationCheckpointing::selective));
  REQUIRE(selective.blocks == kTokens * (4 * (kInput + kResult) + 2 * kRotatedKeys));

  const auto every_2 = activation_bytes(config(ActivationCheckpointing::every_2));
  REQUIRE(every_2.blocks == kTokens * (2 * kInput + kGlobal + kLocal));
  REQUIRE(every_2.at_work == kHead);
  REQUIRE(every_2.total() == every_2.blocks + every_2.at_work);
}

TEST_CASE("QK-norm keeps the packed projection twice") {
  auto normed = config(ActivationCheckpointing::none);
  normed.model.qk_norm = true;
  REQUIRE(activation_bytes(normed).blocks -
              activation_bytes(config(ActivationCheckpointing::none)).blocks ==
          kTokens * 4 * 2 * (24 + 12 + 12));
}

TEST_CASE("a block computed again counts with what the blocks before it keep") {
  auto wide = config(ActivationCheckpointing::every_2, "LLG");
  wide.model.vocab_size = 1;  // almost no head
  const auto head = kTokens * 3 * 2 * 24 + 4 * 24;
  const auto kept = kTokens * (2 * kInput + kLocal);
  const auto last_again = kTokens * (kInput + kLocal + kGlobal);
  REQUIRE(activation_bytes(wide).total() == std::max(kept + head, last_again));
  REQUIRE(last_again > kept + head);
}

TEST_CASE("layers that are computed again") {
  REQUIRE_FALSE(is_recomputed(ActivationCheckpointing::none, 0));
  REQUIRE(is_recomputed(ActivationCheckpointing::full, 1));
  REQUIRE(is_recomputed(ActivationCheckpointing::selective, 1));
  REQUIRE(is_recomputed(ActivationCheckpointing::every_2, 0));
  REQUIRE_FALSE(is_recomputed(ActivationCheckpointing::every_2, 1));
}

}  // namespace
}  // namespace zebra
