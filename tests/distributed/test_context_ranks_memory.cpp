#include "ops/tensor_memory.h"
#include "plan/model_cost.h"
#include "support/counting_allocator.h"
#include "support/shared_sequences.h"

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr std::int64_t kTokens = 3072;

Config wide_run(int ranks, const std::string& pattern) {
  Config config;
  config.model = small_model(pattern, 32);
  config.model.hidden_size = 128;
  config.model.head_dim = 32;
  config.model.intermediate_size = 384;
  config.model.vocab_size = 64;
  config.model.max_position_embeddings = kTokens;
  config.data.sequence_length = kTokens;
  config.train.micro_batch_size = 1;
  config.train.precision = Precision::bf16;
  config.parallel.context = ranks;
  return config;
}

// Bytes that the forward pass leaves on the rank that holds most.
std::int64_t kept_bytes(int ranks, const std::string& pattern) {
  const auto config = wide_run(ranks, pattern);
  std::vector<std::int64_t> kept(static_cast<std::size_t>(ranks));
  CountingAllocator counting;
  run_on_ranks(
      ranks, ranks,
      [&](TestRank& own) {
        ZebraModel model(config.model, ParameterMemory::placeholder);
        ShardedDataParallel parallel(model, {Sharding::none, torch::kBFloat16, torch::kFloat32},
                                     own.groups(), torch::kCPU, /*seed=*/3);
        ContextRanks exchange(*own.context);
        model->set_context(&exchange);
        const auto tokens =
            exchange.share().part_of(torch::randint(64, {1, kTokens}, torch::kInt64));
        const CountingAllocator::Account account(own.rank);
        // What every pass has, whatever it keeps: rotary tables.
        for (int pass = 0; pass < 2; ++pass) {
          const auto before = pass == 0 ? 0 : counting.now(own.rank).at("");
          parallel.begin_step();
          parallel.begin_micro_batch(true);
          const auto sums = model->loss(tokens, tokens);
          kept[static_cast<std::size_t>(own.rank)] = counting.now(own.rank).at("") - before;
          sums.objective.backward();
          parallel.finish_micro_batch();
          parallel.finish_step();
        }
      },
      ranks);
  return *std::ranges::max_element(kept);
}

TEST_CASE("what the forward pass keeps on a rank falls with the ranks, and is what the plan says") {
  const auto pattern = GENERATE("LLLLLL", "GLLGLL", "GGGGGG");
  const auto alone = static_cast<double>(kept_bytes(1, pattern));
  for (const int ranks : {2, 4}) {
    const auto kept = static_cast<double>(kept_bytes(ranks, pattern));
    const auto planned = static_cast<double>(activation_bytes(wide_run(ranks, pattern)).blocks);
    INFO(pattern << " on " << ranks << " ranks: " << kept << " bytes, alone " << alone
                 << ", planned " << planned);
    REQUIRE(kept == Approx(alone / ranks).epsilon(0.1));
    REQUIRE(kept == Approx(planned).epsilon(0.15));
  }
}

}  // namespace
}  // namespace zebra
