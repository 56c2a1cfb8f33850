#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include <map>

#include "train/trainer.h"

#include "base/random.h"
#include "support/tensors.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;

/// Conversations as a dataset has them: documents of many lengths, of which a part counts.
void write_conversations(const TemporaryFolder& folder, int documents) {
  const Tokenizer tokenizer(folder / "tok.model");
  const RandomStream random(5);
  std::uint64_t index = 0;
  TokenDatasetWriter writer(
      {.output = folder / "chats", .tokenizer_hash = tokenizer.hash(), .vocab_size = 300});
  for (int d = 0; d < documents; ++d) {
    writer.begin_document();
    for (const bool answers : {false, true}) {
      std::vector<std::int32_t> tokens(1 + random.bits(index++) % 20);
      for (auto& token : tokens) token = static_cast<std::int32_t>(random.bits(index++) % 300);
      writer.append(tokens, answers);
    }
  }
  writer.finish();
  writer.publish();
}

Config packed(const TemporaryFolder& folder, const std::string& name,
              std::vector<std::string> overrides = {}) {
  const std::string place = folder.path().string();
  overrides.insert(overrides.end(),
                   {"run.dir=" + place + "/" + name, "eval.every_steps=0", "data.packing=whole",
                    "data.train=[{path: " + place + "/chats}]"});
  return tiny_run(folder, overrides);
}

TrainingData open_chats(const Config& config, const Tokenizer& tokenizer) {
  return {config, open_run_datasets(config, tokenizer).train, /*pinned=*/false};
}

std::vector<StepMetrics> train_packed(const Config& config) {
  const Tokenizer tokenizer(config.data.tokenizer);
  RunFolder folder(config.run.dir);
  folder.describe(config);
  Job job{Launch{}};
  Trainer trainer(config, tokenizer, open_chats(config, tokenizer), {}, folder, job);
  std::vector<StepMetrics> steps;
  trainer.run(0, [&](const StepMetrics& metrics) { steps.push_back(metrics); });
  return steps;
}

ZebraModel initial_model(const Config& config) {
  ZebraModel model(config.model);
  model->initialize(config.run.seed);
  return model;
}

TEST_CASE("eight micro-batches of one sequence give the loss of one of eight") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  write_conversations(folder, 150);
  const std::string weighting = GENERATE("token", "sequence");
  std::vector<std::vector<StepMetrics>> runs;
  for (const std::string size : {"8", "1"}) {
    runs.push_back(
        train_packed(packed(folder, weighting + size,
                            {"train.loss_weighting=" + weighting, "train.global_batch_size=8",
                             "train.micro_batch_size=" + size})));
  }
  REQUIRE(runs[0].size() == 12);
  REQUIRE(runs[1][0].loss == Approx(runs[0][0].loss).epsilon(1e-6));
  REQUIRE(runs[1][0].grad_norm == Approx(runs[0][0].grad_norm).epsilon(1e-5));
  for (std::size_t i = 0; i < 12; ++i)
    REQUIRE(runs[1][i].loss == Approx(runs[0][i].loss).epsilon(1e-4));
}

TEST_CASE("a token's loss is the same in a packed sample and alone") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  write_conversations(folder, 80);
  const auto config = packed(folder, "run");
  const Tokenizer tokenizer(config.data.tokenizer);
  const auto data = open_chats(config, tokenizer);
  const auto& dataset = *data.sources()[0];
  auto model = initial_model(config);
  const torch::NoGradGuard no_grad;
  std::int64_t compared = 0;
  for (std::int64_t s = 0; s < data.plans()[0].samples(); ++s) {
    const auto parts = data.plans()[0].parts(s);
    const Sample together = {&dataset, 0, 1.0F, parts};
    const auto batch = make_batch({&together, 1}, 48, true, false);
    const auto losses = model->token_losses(batch.tokens, batch.targets, batch.documents)[0];
    std::int64_t begin = 0;
    for (const auto& part : parts) {
      const Sample alone = {&dataset, part.begin};
      const auto single = make_batch({&alone, 1}, part.inputs, true, false);
      REQUIRE_FALSE(single.documents.is_packed());
      const auto expected = model->token_losses(single.tokens, single.targets, single.documents)[0];
      const auto own = losses.narrow(0, begin, part.inputs);
      REQUIRE(torch::allclose(own, expected, 1e-5, 1e-5));
      compared += (expected != 0).sum().item<std::int64_t>();
      begin += part.inputs;
    }
    REQUIRE((losses.slice(0, begin) == 0).all().item<bool>());
  }
  REQUIRE(compared > 500);
}

TEST_CASE("sequence weighting is the mean over documents of their mean loss") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  write_conversations(folder, 80);
  const auto settings = [](const std::string& weighting) {
    return std::vector<std::string>{"train.loss_weighting=" + weighting, "train.max_steps=1",
                                    "schedule.warmup_steps=0", "train.global_batch_size=6"};
  };
  const auto config = packed(folder, "sequence", settings("sequence"));
  const auto step = train_packed(config).at(0);

  const Tokenizer tokenizer(config.data.tokenizer);
  auto data = open_chats(config, tokenizer);
  auto model = initial_model(config);
  std::vector<torch::Tensor> means;
  for (const auto& batch : data.step(1).micro_batches) {
    const auto logits =
        model->logits(model->forward(batch.tokens, batch.documents)).to(torch::kFloat64);
    const auto log_probabilities = torch::log_softmax(logits, -1);
    for (std::int64_t row = 0; row < batch.tokens.size(0); ++row) {
      std::map<std::int64_t, std::vector<torch::Tensor>> of_document;
      for (std::int64_t t = 0; t < 48; ++t) {
        const auto target = batch.targets[row][t].item<std::int64_t>();
        if (target < 0) continue;
        of_document[batch.documents.first_token[row][t].item<std::int64_t>()].push_back(
            -log_probabilities[row][t][target]);
      }
      for (const auto& [begin, losses] : of_document) means.push_back(torch::stack(losses).mean());
    }
  }
  const auto loss = torch::stack(means).mean();
  double squares = 0.0;
  for (const auto& gradient : torch::autograd::grad({loss}, model->parameters()))
    squares += gradient.to(torch::kFloat64).square().sum().item<double>();
  REQUIRE(step.loss == Approx(loss.item<double>()).epsilon(1e-6));
  REQUIRE(step.grad_norm == Approx(std::sqrt(squares)).epsilon(1e-5));

  const auto by_token = train_packed(packed(folder, "token", settings("token"))).at(0);
  REQUIRE(std::abs(by_token.loss - step.loss) > 1e-5);
}

TEST_CASE("the plan of the samples stays in the run's folder") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  write_conversations(folder, 80);
  const auto config = packed(folder, "run", {"train.max_steps=1", "schedule.warmup_steps=0"});
  train_packed(config);
  const auto fingerprint = TokenDataset(folder / "chats").fingerprint();
  REQUIRE(std::filesystem::exists(config.run.dir / "packing" / (fingerprint + ".plan")));
}

}  // namespace
}  // namespace zebra
