#include "data/training_data.h"

#include "base/error.h"
#include "data/tokenizer.h"
#include "ops/vocabulary.h"
#include "shared_tiny_data.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("targets are the tokens shifted by one; those across a boundary do not count") {
  const auto& shared = shared_tiny_data();
  const auto bos = shared.tokenizer->bos();
  const auto second = static_cast<std::int64_t>(shared.valid->document_offsets()[1]);
  const std::vector<Sample> samples = {{shared.valid.get(), second - 30},
                                       {shared.valid.get(), second - 1},
                                       {shared.valid.get(), second}};
  const auto batch = make_batch(samples, 90, /*document_mask=*/true, /*pinned=*/false);
  std::int64_t counted = 0;
  for (std::int64_t row = 0; row < 3; ++row) {
    std::vector<std::int32_t> tokens(91);
    shared.valid->copy_tokens(samples[static_cast<std::size_t>(row)].begin, tokens);
    std::int64_t first = 0;
    for (std::int64_t t = 0; t < 90; ++t) {
      const auto token = tokens[static_cast<std::size_t>(t)],
                 next = tokens[static_cast<std::size_t>(t + 1)];
      if (token == bos) first = t;
      REQUIRE(batch.tokens[row][t].item<std::int64_t>() == token);
      REQUIRE(batch.targets[row][t].item<std::int64_t>() == (next == bos ? kIgnoredTarget : next));
      REQUIRE(batch.documents.first_token[row][t].item<std::int64_t>() == first);
      counted += next != bos;
    }
  }
  REQUIRE(batch.counted_targets == counted);
  REQUIRE(counted < 3 * 90);
}

TEST_CASE("a label that nobody may read is a target, and its stand-in the input") {
  const auto& shared = shared_tiny_data();
  const TemporaryFolder folder;
  TokenDatasetWriter writer({.output = folder / "d",
                             .tokenizer_hash = shared.tokenizer->hash(),
                             .vocab_size = 300,
                             .label_stand_in = 7});
  writer.begin_document();
  writer.append(std::vector<std::int32_t>{10, 11}, false);
  writer.append(std::vector<std::int32_t>{12}, true);
  writer.append(std::vector<std::int32_t>{13, 14}, false);
  writer.finish();
  writer.publish();
  const TokenDataset dataset(folder / "d", shared.tokenizer->hash(), 300);
  const auto batch = make_batch(std::vector<Sample>{{&dataset, 0}}, 4, true, false);
  const auto row = [](const std::vector<std::int64_t>& values) {
    return torch::tensor(values).unsqueeze(0);
  };
  REQUIRE(torch::equal(batch.tokens, row({10, 11, 7, 13})));
  REQUIRE(torch::equal(batch.targets, row({kIgnoredTarget, 12, kIgnoredTarget, kIgnoredTarget})));
  REQUIRE(batch.counted_targets == 1);
}

TEST_CASE("a document that begins right behind the sample takes its last target only") {
  const auto& shared = shared_tiny_data();
  const auto second = static_cast<std::int64_t>(shared.valid->document_offsets()[1]);
  const std::vector<Sample> samples = {{shared.valid.get(), 0}};
  const auto batch = make_batch(samples, second, true, false);
  REQUIRE_FALSE(batch.documents.is_packed());
  REQUIRE(batch.targets[0][second - 1].item<std::int64_t>() == kIgnoredTarget);
  REQUIRE(batch.counted_targets == second - 1);
}

TEST_CASE("without the document mask everything counts and nothing is packed") {
  const auto& shared = shared_tiny_data();
  const std::vector<Sample> samples = {{shared.valid.get(), 0}};
  const auto batch = make_batch(samples, 200, false, false);
  REQUIRE_FALSE(batch.documents.is_packed());
  REQUIRE(batch.counted_targets == 200);
  REQUIRE((batch.targets != kIgnoredTarget).all().item<bool>());
}

TEST_CASE("targets are counted as a batch counts them, without reading tokens") {
  const auto& shared = shared_tiny_data();
  const bool document_mask = GENERATE(true, false);
  const std::int64_t length = GENERATE(1, 2, 37, 200);
  std::int64_t counted = 0, samples = 0;
  for (std::int64_t begin = 0; begin + length < shared.valid->tokens(); begin += length / 2 + 1) {
    const Sample sample = {shared.valid.get(), begin};
    const auto batch = make_batch({&sample, 1}, length, document_mask, false);
    REQUIRE(count_targets(sample, length, document_mask).targets == batch.counted_targets);
    counted += batch.counted_targets;
    ++samples;
  }
  REQUIRE((counted == samples * length) == !document_mask);
}

TEST_CASE("a loss mask is applied") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  write_text(folder / "pairs.jsonl",
             "{\"prompt\": \"zebra stripe\", \"completion\": \" global local\"}\n");
  PackOptions options;
  options.input.inputs = {(folder / "pairs.jsonl").string()};
  options.tokenizer = folder / "tok.model";
  options.output = folder / "pairs";
  pack(options);
  const Tokenizer tokenizer(folder / "tok.model");
  const TokenDataset dataset(folder / "pairs", tokenizer.hash(), 300);
  const auto prompt = static_cast<std::int64_t>(tokenizer.encode("zebra stripe").size());
  const auto length = dataset.tokens() - 1;
  const std::vector<Sample> samples = {{&dataset, 0}};
  const auto batch = make_batch(samples, length, true, false);
  REQUIRE(batch.counted_targets == length - prompt);
  REQUIRE(count_targets(samples[0], length, true).targets == length - prompt);
  REQUIRE(count_targets(samples[0], length, false).targets == length - prompt);
  REQUIRE((batch.targets[0].slice(0, 0, prompt) == kIgnoredTarget).all().item<bool>());
}

TrainingData open_training_data(const Config& config, const Tokenizer& tokenizer,
                                DataShare share = {}) {
  return {config, open_run_datasets(config, tokenizer).train, /*pinned=*/false, share};
}

TEST_CASE("a step is a function of its number, whatever was read before") {
  const auto& folder = shared_tiny_data().folder;
  const auto config = tiny_run(folder);
  const auto& tokenizer = *shared_tiny_data().tokenizer;
  auto forward = open_training_data(config, tokenizer),
       jumping = open_training_data(config, tokenizer);
  for (std::int64_t step = 1; step <= 9; ++step) {
    const auto batch = forward.step(step);
    REQUIRE(batch.micro_batches.size() == 2);
    REQUIRE(batch.counted_targets ==
            batch.micro_batches[0].counted_targets + batch.micro_batches[1].counted_targets);
    if (step != 9 && step != 4) continue;
    REQUIRE(same_bits(jumping.step(step).micro_batches[1].tokens, batch.micro_batches[1].tokens));
  }
  REQUIRE(same_bits(jumping.step(2).micro_batches[0].tokens,
                    open_training_data(config, tokenizer).step(2).micro_batches[0].tokens));
}

TEST_CASE("micro-batches only cut the step's samples") {
  const auto& folder = shared_tiny_data().folder;
  const auto& tokenizer = *shared_tiny_data().tokenizer;
  auto whole =
      open_training_data(tiny_run(folder, {"train.micro_batch_size=4"}), tokenizer).step(3);
  auto parts =
      open_training_data(tiny_run(folder, {"train.micro_batch_size=1"}), tokenizer).step(3);
  std::vector<torch::Tensor> rows;
  for (const auto& part : parts.micro_batches) rows.push_back(part.tokens);
  REQUIRE(same_bits(torch::cat(rows), whole.micro_batches[0].tokens));
}

TEST_CASE("the ranks' shares together are the samples of one rank, in order") {
  const auto& folder = shared_tiny_data().folder;
  const bool document_mask = GENERATE(true, false);
  const std::string mask = document_mask ? "true" : "false";
  const auto config = tiny_run(folder, {"train.global_batch_size=12", "train.micro_batch_size=2",
                                        "data.document_mask=" + mask});
  const auto& tokenizer = *shared_tiny_data().tokenizer;
  const int ranks = GENERATE(1, 2, 3, 6);
  auto alone = open_training_data(config, tokenizer);
  std::vector<TrainingData> shares;
  for (int rank = 0; rank < ranks; ++rank)
    shares.push_back(open_training_data(config, tokenizer, {rank, ranks}));
  for (const std::int64_t step : {1, 4}) {
    const auto whole = alone.step(step);
    std::vector<Batch> batches;
    std::int64_t counted = 0;
    for (auto& share : shares) {
      const auto own = share.step(step);
      REQUIRE(own.micro_batches.size() == static_cast<std::size_t>(6 / ranks));
      REQUIRE(own.counted_targets == whole.counted_targets);
      batches.insert(batches.end(), own.micro_batches.begin(), own.micro_batches.end());
    }
    REQUIRE(batches.size() == whole.micro_batches.size());
    for (std::size_t i = 0; i < batches.size(); ++i) {
      REQUIRE(same_bits(batches[i].tokens, whole.micro_batches[i].tokens));
      REQUIRE(same_bits(batches[i].targets, whole.micro_batches[i].targets));
      counted += batches[i].counted_targets;
    }
    REQUIRE(counted == whole.counted_targets);
  }
}

TEST_CASE("the prefetch thread gives the same batches in order") {
  const auto& folder = shared_tiny_data().folder;
  const auto config = tiny_run(folder);
  const auto& tokenizer = *shared_tiny_data().tokenizer;
  auto data = open_training_data(config, tokenizer), again = open_training_data(config, tokenizer);
  Prefetch prefetch(data, 5);
  for (std::int64_t step = 5; step < 15; ++step) {
    REQUIRE(same_bits(prefetch.next().micro_batches[0].tokens,
                      again.step(step).micro_batches[0].tokens));
  }
}

TEST_CASE("all datasets that cannot be used are named at once") {
  const auto& folder = shared_tiny_data().folder;
  const auto& tokenizer = *shared_tiny_data().tokenizer;
  auto config = tiny_run(folder);
  config.data.train = {{folder / "nowhere", std::nullopt},
                       {folder / "train", std::nullopt},
                       {folder / "missing", std::nullopt}};
  REQUIRE_THROWS_WITH(open_training_data(config, tokenizer),
                      Catch::Matchers::Contains("nowhere") && Catch::Matchers::Contains("missing"));
  config.data.train = tiny_run(folder).data.train;
  config.data.validation = {{folder / "absent", std::nullopt}};
  REQUIRE_THROWS_WITH(open_training_data(config, tokenizer), Catch::Matchers::Contains("absent"));
  config = tiny_run(folder, {"data.sequence_length=1000000", "eval.every_steps=0"});
  REQUIRE_THROWS_WITH(open_training_data(config, tokenizer),
                      Catch::Matchers::Contains("data.sequence_length"));
}

}  // namespace
}  // namespace zebra
