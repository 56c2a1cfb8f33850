#include <torch/csrc/autograd/autograd.h>
#include <cmath>

#include "train/trainer.h"

#include "base/file.h"
#include "checkpoint/folder.h"
#include "support/tensors.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;

/// Two sources, each with the weights that follow its path.
Config mixture(const TemporaryFolder& folder, const std::string& name, const std::string& of_train,
               const std::string& of_valid, std::vector<std::string> overrides = {}) {
  const std::string at = folder.path().string();
  overrides.insert(overrides.end(), {"run.dir=" + at + "/" + name, "eval.every_steps=0",
                                     "data.train=[{path: " + at + "/train, " + of_train +
                                         "}, {path: " + at + "/valid, " + of_valid + "}]"});
  return tiny_run(folder, overrides);
}

std::vector<StepMetrics> train(const Config& config) {
  const Tokenizer tokenizer(config.data.tokenizer);
  RunFolder folder(config.run.dir);
  folder.describe(config);
  Job job{Launch{}};
  Trainer trainer(config, tokenizer,
                  TrainingData(config, open_run_datasets(config, tokenizer).train,
                               /*pinned=*/false),
                  {}, folder, job);
  std::vector<StepMetrics> steps;
  trainer.run(0, [&](const StepMetrics& metrics) { steps.push_back(metrics); });
  return steps;
}

struct Reference {
  double loss = 0.0, gradient_norm = 0.0;
};

/// Of the first step, by the definition: softmax, losses and their mean in float64.
Reference first_step(const Config& config) {
  const Tokenizer tokenizer(config.data.tokenizer);
  TrainingData data(config, open_run_datasets(config, tokenizer).train, /*pinned=*/false);
  ZebraModel model(config.model);
  model->initialize(config.run.seed);
  auto objective = torch::zeros({}, torch::kFloat64), loss = objective.clone(),
       weight = objective.clone();
  for (const auto& batch : data.step(1).micro_batches) {
    const auto logits =
        model->logits(model->forward(batch.tokens, batch.documents)).to(torch::kFloat64);
    const auto counts = (batch.targets != kIgnoredTarget).to(torch::kFloat64);
    const auto weights =
        batch.target_weights.defined() ? batch.target_weights.to(torch::kFloat64) * counts : counts;
    const auto log_sum_exp = torch::logsumexp(logits, -1);
    const auto index = batch.targets.clamp_min(0).unsqueeze(-1);
    const auto nats = log_sum_exp - logits.gather(-1, index).squeeze(-1);
    loss = loss + (weights * nats).sum();
    objective = objective + (weights * (nats + config.train.z_loss * log_sum_exp.square())).sum();
    weight = weight + weights.sum();
  }
  double squares = 0.0;
  for (const auto& gradient : torch::autograd::grad({objective / weight}, model->parameters()))
    squares += gradient.to(torch::kFloat64).square().sum().item<double>();
  return {(loss / weight).item<double>(), std::sqrt(squares)};
}

std::string last_weights_hash(const Config& config) {
  const auto folder = list_checkpoints(config.run.dir).back().folder;
  return Manifest::of(folder).files.at("weights-00000.safetensors").hash;
}

TEST_CASE("loss and gradient are the weighted mean over the counted targets of the step") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const std::string z_loss = GENERATE("0", "0.01");
  const std::vector<std::string> settings = {"train.z_loss=" + z_loss, "train.max_steps=1",
                                             "schedule.warmup_steps=0",
                                             "train.global_batch_size=12"};
  const auto config = mixture(folder, "weighted", "weight: 2, loss_weight: 0.5",
                              "weight: 1, loss_weight: 6", settings);
  const auto step = train(config).at(0);
  const auto expected = first_step(config);
  REQUIRE(step.loss == Approx(expected.loss).epsilon(1e-6));
  REQUIRE(step.grad_norm == Approx(expected.gradient_norm).epsilon(1e-5));

  const auto plain = first_step(mixture(folder, "plain", "weight: 2", "weight: 1", settings));
  REQUIRE(std::abs(plain.loss - expected.loss) > 1e-5);
  REQUIRE(std::abs(plain.gradient_norm - expected.gradient_norm) > 1e-3 * plain.gradient_norm);
}

TEST_CASE("micro-batches change nothing of a weighted loss but rounding") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto checkpointing = GENERATE(as<std::string>{}, "none", "full");
  std::vector<std::vector<StepMetrics>> runs;
  for (const std::string size : {"1", "2", "4"}) {
    runs.push_back(train(mixture(
        folder, "micro" + size, "weight: 1, loss_weight: 1", "weight: 1, loss_weight: 9",
        {"train.micro_batch_size=" + size, "train.activation_checkpointing=" + checkpointing})));
  }
  for (const auto& run : runs) {
    REQUIRE(run.size() == 12);
    for (std::size_t i = 0; i < run.size(); ++i) {
      REQUIRE(run[i].loss == Approx(runs[0][i].loss).epsilon(1e-4));
      REQUIRE(run[i].grad_norm == Approx(runs[0][i].grad_norm).epsilon(1e-3));
    }
  }
}

TEST_CASE("weights that are all alike give the bits of a run without them") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto precision = GENERATE(as<std::string>{}, "fp32", "bf16");
  const std::vector<std::string> settings = {"train.precision=" + precision};
  const auto without = mixture(folder, "without", "weight: 1", "weight: 2", settings);
  const auto expected = train(without);
  for (const std::string weight : {"1", "3.7"}) {
    const auto with = mixture(folder, "with" + weight, "weight: 1, loss_weight: " + weight,
                              "weight: 2, loss_weight: " + weight, settings);
    const auto steps = train(with);
    REQUIRE(steps.size() == expected.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      REQUIRE(steps[i].loss == expected[i].loss);
      REQUIRE(steps[i].grad_norm == expected[i].grad_norm);
    }
    REQUIRE(last_weights_hash(with) == last_weights_hash(without));
  }
}

TEST_CASE("a step tells what each source gave it") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  for (const auto& step :
       train(mixture(folder, "run", "weight: 1, loss_weight: 1", "weight: 1, loss_weight: 4"))) {
    REQUIRE(step.sources.size() == 2);
    const auto &plain = step.sources[0], &heavy = step.sources[1];
    REQUIRE(plain.samples + heavy.samples == 4);
    const auto weighted = 4.0 * static_cast<double>(heavy.targets);
    REQUIRE(heavy.loss_share == Approx(weighted / (weighted + static_cast<double>(plain.targets))));
    REQUIRE(plain.loss_share + heavy.loss_share == Approx(1.0));
  }
}

}  // namespace
}  // namespace zebra
