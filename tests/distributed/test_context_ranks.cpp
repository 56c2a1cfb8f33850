#include "distributed/context_ranks.h"

#include <algorithm>

#include "plan/context_cost.h"
#include "support/shared_sequences.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr std::int64_t kChunk = 66;

// The rounding of one rank's order of sums against another's.
constexpr double kRounding = 2e-5;

// Documents that begin in what the second and the last chunk fetch of the one before, at a
// boundary, and one that spans three chunks, of two sequences; the third has none.
std::vector<std::vector<std::int64_t>> document_starts(std::int64_t length) {
  const auto last = length - kChunk;
  std::vector<std::vector<std::int64_t>> starts = {{kChunk - 2, kChunk + 3}, {kChunk}, {}, {1}};
  if (last > 3 * kChunk) {
    starts[0] = {kChunk - 2, kChunk + 3, last - 3};
    starts[1] = {kChunk, kChunk + kChunk / 2, last, last + 1};
  }
  return starts;
}

SharedStep step_of(int ranks, const std::string& pattern, std::int64_t window) {
  SharedStep step;
  step.model = small_model(pattern, window);
  step.length = 2 * ranks * kChunk;
  step.model.max_position_embeddings = step.length;
  return step;
}

void require_like(const SharedStepResult& result, const SharedStepResult& alone,
                  const ContextShare& share, double tolerance = kRounding) {
  REQUIRE(result.loss == Approx(alone.loss).epsilon(tolerance));
  REQUIRE(result.norm == Approx(alone.norm).epsilon(tolerance));
  const auto expected = share.part_of(alone.logits);
  require_close(result.logits, expected, tolerance * expected.abs().max().item<double>());
  REQUIRE(result.gradients.size() == alone.gradients.size());
  for (const auto& [name, gradient] : alone.gradients) {
    INFO(name);
    require_close(result.gradients.at(name), gradient,
                  tolerance * gradient.abs().max().item<double>() + 1e-9);
  }
}

TEST_CASE("ranks that share sequences give the loss, logits and gradients of one rank") {
  const int ranks = GENERATE(1, 2, 3, 4);
  const auto pattern = GENERATE("LLL", "GLLG", "GGG");
  const auto window = GENERATE(std::int64_t{0}, 1, 63, kChunk - 1, kChunk);
  auto step = step_of(ranks, pattern, window);
  // Two of many together; every one meets every other over the cases.
  const auto number = ranks + window + static_cast<std::int64_t>(pattern[0]);
  const auto options = static_cast<ModelOptions>(number % 3);
  step.model = with_options(step.model, options);
  step.checkpointing = static_cast<ActivationCheckpointing>((number / 2) % 4);
  if (number % 2 == 0) step.starts = document_starts(step.length);
  INFO("ranks " << ranks << " pattern " << pattern << " window " << window << " options "
                << static_cast<int>(options) << " checkpointing "
                << static_cast<int>(step.checkpointing) << " documents " << step.starts.size());
  const auto alone = take_step_alone(step);
  const auto results = take_step_on(ranks, ranks, ranks, step);
  for (int rank = 0; rank < ranks; ++rank)
    require_like(results[static_cast<std::size_t>(rank)], alone, {rank, ranks});
}

TEST_CASE("sharing sequences joins with split state, copies, data parallelism and accumulation") {
  auto step = step_of(2, "GLLG", 63);
  step.sequences = 4;
  step.starts = document_starts(step.length);
  step.model = with_options(step.model, ModelOptions::projections_normed);
  step.model.tie_word_embeddings = GENERATE(false, true);
  step.checkpointing = GENERATE(ActivationCheckpointing::none, ActivationCheckpointing::selective);
  auto whole = step;
  whole.micro_batch = 4;
  auto alone = take_step_alone(whole);
  const int replicas = GENERATE(1, 2);
  step.sharding.sharding = Sharding::full;
  const auto results = take_step_on(4, 2, replicas, step);
  for (int rank = 0; rank < 4; ++rank) {
    auto expected = alone;
    expected.logits = alone.logits.narrow(0, rank / 2 * 2, 1);
    require_like(results[static_cast<std::size_t>(rank)], expected, {rank % 2, 2});
  }
}

TEST_CASE("in bfloat16 a step on shared sequences is as close as rounding allows") {
  auto step = step_of(2, "GLLG", 63);
  step.sharding.weight_type = torch::kBFloat16;
  const auto alone = take_step_alone(step);
  for (const auto& result : take_step_on(2, 2, 2, step)) {
    REQUIRE(result.loss == Approx(alone.loss).epsilon(2e-3));
    REQUIRE(result.norm == Approx(alone.norm).epsilon(3e-2));
  }
}

TEST_CASE("a step on shared sequences repeats to the bit") {
  auto step = step_of(3, "GLLG", 63);
  step.starts = document_starts(step.length);
  step.sharding.weight_type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const auto once = take_step_on(3, 3, 3, step), again = take_step_on(3, 3, 3, step);
  for (std::size_t rank = 0; rank < 3; ++rank) {
    REQUIRE(once[rank].loss == again[rank].loss);
    REQUIRE(same_bits(once[rank].logits, again[rank].logits));
    for (const auto& [name, gradient] : once[rank].gradients) {
      INFO(name);
      REQUIRE(same_bits(gradient, again[rank].gradients.at(name)));
    }
  }
}

TEST_CASE("chunks of whole tiles give local layers the bits of one rank") {
  SharedStep step = step_of(2, "LLL", 64);
  step.length = 4 * 128;
  const auto alone = take_step_alone(step);
  const auto results = take_step_on(2, 2, 2, step);
  for (int rank = 0; rank < 2; ++rank) {
    const auto expected = ContextShare{rank, 2}.part_of(alone.logits);
    REQUIRE(same_bits(results[static_cast<std::size_t>(rank)].logits, expected));
  }
}

// The gradient of the loss of the target at `position` alone, in the embedding of each position of
// one sequence, whose tokens are all different: which of them it can see.
std::vector<bool> reached(const SharedStep& step, int ranks, std::int64_t position) {
  torch::Tensor gradient;
  run_on_ranks(
      ranks, ranks,
      [&](TestRank& own) {
        ZebraModel model(step.model, ParameterMemory::placeholder);
        ShardedDataParallel parallel(model, step.sharding, own.groups(), torch::kCPU, /*seed=*/3);
        ContextRanks exchange(*own.context);
        model->set_context(&exchange);
        const auto share = exchange.share();
        auto targets = torch::full({1, step.length}, kIgnoredTarget, torch::kInt64);
        targets[0][position] = 0;
        PackedDocuments documents;
        if (!step.starts.empty())
          documents = PackedDocuments::from_starts(step.starts, step.length).part_of(share);
        parallel.begin_step();
        parallel.begin_micro_batch(true);
        model
            ->loss(share.part_of(torch::arange(step.length).unsqueeze(0)), share.part_of(targets),
                   documents)
            .objective.backward();
        parallel.finish_micro_batch();
        parallel.finish_step();
        if (own.rank == 0)
          gradient = whole_gradients(parallel, *own.shards).at("model.embed_tokens.weight");
      },
      ranks);
  const auto rows = gradient.view({step.length, -1}).abs().amax(1);
  std::vector<bool> reached;
  for (std::int64_t t = 0; t < step.length; ++t) reached.push_back(rows[t].item<float>() != 0.0F);
  return reached;
}

TEST_CASE("nothing leaks: a loss has no gradient in tokens beyond its reach") {
  const int ranks = GENERATE(2, 3);
  const bool is_local = GENERATE(true, false);
  constexpr std::int64_t kWindow = 40;
  auto step = step_of(ranks, is_local ? "LLL" : "LGL", kWindow);
  step.model.vocab_size = step.length;
  const auto document = kChunk + 5;
  const bool has_documents = GENERATE(false, true);
  if (has_documents) step.starts = {{document}};
  // In the first and in a later chunk, behind a boundary, at the end.
  for (const auto position : {std::int64_t{3}, 2 * kChunk + 1, step.length - 1}) {
    INFO("ranks " << ranks << " local " << is_local << " documents " << has_documents
                  << " position " << position);
    std::int64_t first = is_local ? std::max<std::int64_t>(0, position - 3 * kWindow) : 0;
    if (has_documents && position >= document) first = std::max(first, document);
    const auto seen = reached(step, ranks, position);
    for (std::int64_t t = 0; t < step.length; ++t) {
      INFO("token " << t);
      REQUIRE(seen[static_cast<std::size_t>(t)] == (t >= first && t <= position));
    }
  }
}

// What the rank sends that sends most of it, in forward and backward of one micro-batch.
double most_sent(const std::vector<SharedStepResult>& results,
                 const std::vector<std::string>& what) {
  std::int64_t most = 0;
  for (const auto& result : results) {
    std::int64_t sum = 0;
    for (const auto& name : what) {
      const auto found = result.sent.find(name);
      if (found != result.sent.end()) sum += found->second;
    }
    most = std::max(most, sum);
  }
  return static_cast<double>(most);
}

TEST_CASE("ranks send the bytes that the plan says: in local layers the window, at any length") {
  const int ranks = GENERATE(1, 2, 3, 4);
  constexpr std::int64_t kWindow = 31;
  auto step = step_of(ranks, "GLLLG", kWindow);
  step.length *= GENERATE(1, 2);
  step.micro_batch = GENERATE(1, 2);
  step.checkpointing =
      GENERATE(ActivationCheckpointing::none, ActivationCheckpointing::full,
               ActivationCheckpointing::selective, ActivationCheckpointing::every_2);
  Config config;
  config.model = step.model;
  config.data.sequence_length = step.length;
  config.train.micro_batch_size = step.micro_batch;
  config.train.activation_checkpointing = step.checkpointing;
  config.parallel.context = ranks;
  const auto plan = context_traffic(config);
  const auto results = take_step_on(ranks, ranks, ranks, step);
  REQUIRE(most_sent(results, {"keys of the window", "gradients of the window's keys"}) ==
          plan.local_layers);
  REQUIRE(most_sent(results, {"keys of all tokens", "gradients of keys"}) == plan.global_layers);

  // By hand: three layers, W tokens of two key heads of six values, twice, to each neighbour.
  if (step.checkpointing != ActivationCheckpointing::none) return;
  const double message = 3.0 * kWindow * 2 * 2 * 6 * 4 * static_cast<double>(step.micro_batch);
  for (int rank = 0; rank < ranks; ++rank) {
    const int neighbours = (rank > 0) + (rank + 1 < ranks);
    for (const auto* what : {"keys of the window", "gradients of the window's keys"}) {
      REQUIRE(static_cast<double>(results[static_cast<std::size_t>(rank)].sent.at(what)) ==
              neighbours * message);
    }
  }
}

}  // namespace
}  // namespace zebra
