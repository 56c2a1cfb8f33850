#include <map>
#include <set>

#include "base/error.h"
#include "data/sample_plan.h"
#include "data/training_data.h"
#include "ops/vocabulary.h"
#include "shared_tiny_data.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

/// A document of a dataset: its tokens, and which of them count.
struct Written {
  std::vector<std::int32_t> tokens;
  std::vector<bool> counts;
};

/// Documents of 2 to `longest` tokens, no two alike, whose first token is their number; every fifth
/// counts nowhere, of the others some tokens.
std::vector<Written> write_documents(const std::filesystem::path& path, int documents,
                                     unsigned longest) {
  const RandomStream random(17);
  std::uint64_t index = 0;
  TokenDatasetWriter writer(
      {.output = path, .tokenizer_hash = shared_tiny_data().tokenizer->hash(), .vocab_size = 300});
  std::vector<Written> written;
  for (int d = 0; d < documents; ++d) {
    Written document;
    const auto length = 2 + random.bits(index++) % (longest - 1);
    writer.begin_document();
    for (std::uint64_t t = 0; t < length; ++t) {
      document.tokens.push_back(t == 0 ? d : static_cast<std::int32_t>(random.bits(index++) % 300));
      document.counts.push_back(d % 5 != 0 && random.bits(index++) % 3 != 0);
      writer.append({&document.tokens.back(), 1}, document.counts.back());
    }
    written.push_back(std::move(document));
  }
  writer.finish();
  writer.publish();
  return written;
}

Config packed_run(const TemporaryFolder& folder, std::vector<std::string> overrides = {}) {
  overrides.insert(overrides.end(),
                   {"data.packing=whole", "eval.every_steps=0",
                    "data.train=[{path: " + (folder / "documents").string() + "}]"});
  return tiny_run(shared_tiny_data().folder, overrides);
}

Config in_folder(Config config, const TemporaryFolder& folder) {
  config.run.dir = folder / "run";
  return config;
}

TrainingData open_packed(const Config& config, DataShare share = {}) {
  return {config, open_run_datasets(config, *shared_tiny_data().tokenizer).train,
          /*pinned=*/false, share};
}

std::int64_t at(const torch::Tensor& tensor, std::int64_t t) {
  return tensor[t].item<std::int64_t>();
}

TEST_CASE("whole documents stand one behind the other, padding behind them") {
  const TemporaryFolder folder;
  const auto written = write_documents(folder / "documents", 60, 40);
  auto data = open_packed(in_folder(packed_run(folder), folder));
  std::map<std::int64_t, int> seen;
  std::int64_t padding = 0, counted = 0;
  for (std::int64_t sample = 0; sample < data.plans()[0].samples(); ++sample) {
    const Sample planned{data.sources()[0].get(), 0, 1.0F, data.plans()[0].parts(sample)};
    const auto batch = make_batch({&planned, 1}, 48, /*document_mask=*/true, /*pinned=*/false);
    const auto tokens = batch.tokens[0], targets = batch.targets[0],
               first = batch.documents.first_token[0];
    for (std::int64_t begin = 0, end; begin < 48; begin = end) {
      for (end = begin; end < 48 && at(first, end) == begin; ++end) continue;
      REQUIRE(end > begin);
      const auto number = at(tokens, begin);
      const bool is_padding = (targets.slice(0, begin) == kIgnoredTarget).all().item<bool>() &&
                              (tokens.slice(0, begin) == 0).all().item<bool>() && end == 48;
      if (is_padding) {
        padding += end - begin;
        continue;
      }
      ++seen[number];
      const auto& document = written.at(static_cast<std::size_t>(number));
      REQUIRE(end - begin + 1 == std::ssize(document.tokens));
      for (std::int64_t t = begin; t < end; ++t) {
        const auto i = static_cast<std::size_t>(t - begin);
        REQUIRE(at(tokens, t) == document.tokens[i]);
        REQUIRE(at(targets, t) ==
                (document.counts[i + 1] ? document.tokens[i + 1] : kIgnoredTarget));
        counted += document.counts[i + 1];
      }
    }
  }
  REQUIRE(seen.size() == 60);
  for (const auto& [number, times] : seen) REQUIRE(times == 1);
  REQUIRE(padding == data.plans()[0].counts().padding);
  REQUIRE(counted > 300);
}

TEST_CASE("with sequence weighting each document with a target counts one") {
  const TemporaryFolder folder;
  write_documents(folder / "documents", 60, 40);
  auto data = open_packed(in_folder(packed_run(folder, {"train.loss_weighting=sequence"}), folder));
  for (const std::int64_t step : {1, 2}) {
    const auto batch = data.step(step);
    double sum = 0.0;
    std::int64_t sequences = 0;
    for (const auto& micro : batch.micro_batches) {
      REQUIRE(micro.target_weights.defined());
      const auto counts = micro.targets != kIgnoredTarget;
      for (std::int64_t row = 0; row < 2; ++row) {
        std::map<std::int64_t, std::vector<float>> of_document;
        for (std::int64_t t = 0; t < 48; ++t) {
          if (!counts[row][t].item<bool>()) continue;
          of_document[at(micro.documents.first_token[row], t)].push_back(
              micro.target_weights[row][t].item<float>());
        }
        for (const auto& [begin, weights] : of_document) {
          for (const float weight : weights)
            REQUIRE(weight == 1.0F / static_cast<float>(weights.size()));
          for (const float weight : weights) sum += weight;
          ++sequences;
        }
      }
    }
    REQUIRE(sequences > 3);
    REQUIRE(batch.sources[0].sequences == sequences);
    REQUIRE(batch.target_weight == static_cast<double>(sequences));
    REQUIRE(sum == Approx(static_cast<double>(sequences)).epsilon(1e-6));
  }
}

TEST_CASE("without packing a sequence is what a document has in a sample, or the sample") {
  const auto& shared = shared_tiny_data();
  const auto second = static_cast<std::int64_t>(shared.valid->document_offsets()[1]);
  const Sample sample = {shared.valid.get(), second - 10};
  const auto kept_apart = count_targets(sample, 40, true);
  REQUIRE(kept_apart.targets == 39);
  REQUIRE(kept_apart.sequences == 2);
  const auto together = count_targets(sample, 40, false);
  REQUIRE(together.targets == 40);
  REQUIRE(together.sequences == 1);
  const auto batch = make_batch({&sample, 1}, 40, true, false, LossWeighting::sequence);
  REQUIRE(batch.target_weights[0][0].item<float>() == 1.0F / 9.0F);
  REQUIRE(batch.target_weights[0][9].item<float>() == 0.0F);
  REQUIRE(batch.target_weights[0][10].item<float>() == 1.0F / 30.0F);
}

TEST_CASE("ranks share packed samples, and have one sum of weights") {
  const TemporaryFolder folder;
  write_documents(folder / "documents", 90, 40);
  const std::string weighting = GENERATE("token", "sequence");
  const auto config =
      in_folder(packed_run(folder, {"train.loss_weighting=" + weighting,
                                    "train.global_batch_size=6", "train.micro_batch_size=1"}),
                folder);
  const auto whole = open_packed(config).step(2);
  for (const int ranks : {2, 3}) {
    std::vector<torch::Tensor> tokens, weights;
    for (int rank = 0; rank < ranks; ++rank) {
      const auto own = open_packed(config, {rank, ranks}).step(2);
      REQUIRE(own.target_weight == whole.target_weight);
      for (const auto& micro : own.micro_batches) tokens.push_back(micro.tokens);
    }
    REQUIRE(tokens.size() == 6);
    for (std::size_t i = 0; i < 6; ++i)
      REQUIRE(same_bits(tokens[i], whole.micro_batches[i].tokens));
  }
}

TEST_CASE("what is stored is what the next start reads, whatever it would plan") {
  const TemporaryFolder folder;
  write_documents(folder / "documents", 60, 40);
  const auto config = in_folder(packed_run(folder), folder);
  auto data = open_packed(config);
  data.store_plans();
  auto again = open_packed(config), other = open_packed([&] {
                                      auto changed = config;
                                      changed.run.seed = 4;
                                      return changed;
                                    }());
  const auto tokens = data.step(3).micro_batches[0].tokens;
  REQUIRE(same_bits(again.step(3).micro_batches[0].tokens, tokens));
  REQUIRE_FALSE(same_bits(other.step(3).micro_batches[0].tokens, tokens));
}

TEST_CASE("documents that are too long are named, dropped or split") {
  const TemporaryFolder folder;
  const auto written = write_documents(folder / "documents", 60, 90);
  const auto open_with = [&](const std::string& overflow) {
    return open_packed(in_folder(packed_run(folder, {"data.overflow=" + overflow}), folder));
  };
  REQUIRE_THROWS_WITH(open_with("error"),
                      Catch::Matchers::Contains("documents: ") &&
                          Catch::Matchers::Contains("set data.sequence_length to"));
  const auto too_long = std::count_if(written.begin(), written.end(), [](const Written& document) {
    return document.tokens.size() > 49;
  });
  REQUIRE(too_long > 5);
  const auto dropped = open_with("drop"), split = open_with("split");
  REQUIRE(dropped.plans()[0].counts().documents == 60 - too_long);
  REQUIRE(split.plans()[0].counts().documents == 60);
  for (const auto* data : {&dropped, &split})
    REQUIRE(data->plans()[0].counts().too_long == too_long);
  REQUIRE_THAT(
      dropped.packing_notes().at(0),
      Catch::Matchers::Contains(std::to_string(too_long) + " longer than a sample left out"));
  REQUIRE_THAT(split.packing_notes().at(0), Catch::Matchers::Contains("cut into parts"));
}

TEST_CASE("each stage reads the samples that are planned of its own sources") {
  const TemporaryFolder folder;
  write_documents(folder / "documents", 60, 40);
  write_documents(folder / "first", 50, 20);
  auto data = open_packed(in_folder(
      packed_run(folder, {"train.max_steps=10", "data.stages=[{until: 4, train: [{path: " +
                                                    (folder / "first").string() + "}]}]"}),
      folder));
  REQUIRE(data.plans().size() == 2);
  REQUIRE(data.sources()[0]->path().filename() == "first");
  std::int64_t samples = 0;
  for (std::int64_t step = 1; step <= 10; ++step) {
    const auto batch = data.step(step);
    const auto &read = batch.sources[step <= 4 ? 0 : 1], &other = batch.sources[step <= 4 ? 1 : 0];
    REQUIRE(read.targets > 0);
    REQUIRE(read.sequences > 0);
    REQUIRE(other.samples == 0);
    if (step <= 4) samples += read.samples;
  }
  const auto planned = static_cast<double>(data.plans()[0].samples());
  REQUIRE(data.passes(0) == Approx(static_cast<double>(samples) / planned));
}

TEST_CASE("a source without a document that fits is named") {
  const TemporaryFolder folder;
  write_documents(folder / "documents", 10, 90);
  const auto config =
      in_folder(packed_run(folder, {"data.overflow=drop", "data.sequence_length=1"}), folder);
  REQUIRE_THROWS_WITH(open_packed(config),
                      Catch::Matchers::Contains("no document of at least two tokens that fits"));
}

}  // namespace
}  // namespace zebra
