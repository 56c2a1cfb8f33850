#include "train/step_gradients.h"

#include <limits>

#include "data/tokenizer.h"
#include "optim/adamw.h"
#include "support/pretended_device.h"
#include "support/pretended_graph.h"
#include "support/tensors.h"
#include "support/tiny_data.h"
#include "train/metrics.h"
#include "train/stop_signal.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

TEST_CASE("the pretended device sees what a GPU's host would wait for") {
  const auto x = torch::arange(6, torch::kFloat32);
  const auto device = pretended::device();
  const auto pinned = x.pin_memory();
  REQUIRE(pinned.is_pinned());
  pretended::HostWaits waits;
  const auto there = pinned.to(pretended::device(), /*non_blocking=*/true);
  const auto sum = (there + there).sum();
  REQUIRE(waits.found().empty());
  REQUIRE(sum.item<float>() == 30.0F);
  x.to(device);
  x.to(device, /*non_blocking=*/true);  // from pageable memory it is no less blocking
  there.to(torch::kCPU);
  REQUIRE(waits.found() == std::vector<std::string>{"for a scalar", "a copy to the device 6",
                                                    "a copy to the device 6",
                                                    "a copy to the host 6"});
}

/// A model in training, as the Trainer has it.
class Training {
 public:
  Training(const Config& config, torch::Device device, const DeviceGraphs& graphs = {})
      : config_(config), device_(device) {
    if (!device.is_cpu()) pretended::move_to_device(*model_);
    parallel_.emplace(model_, ShardingOptions{Sharding::none, torch::kFloat32, torch::kFloat32},
                      ProcessGroups{&alone_, &alone_}, device, /*seed=*/3);
    gradients_.emplace(model_, *parallel_, device, /*z_loss=*/1e-4, graphs);
  }

  ZebraModel& model() { return model_; }

  /// All of a step but the optimizer's update, which on the device is one kernel of ours.
  DeferredValues step(std::int64_t number, LayerStatistics* statistics = nullptr) {
    const auto loss = gradients_->add(
        data_.step(number), [] {}, statistics);
    const auto sums = torch::cat({loss, stop_requests(device_)}).to(torch::kFloat64);
    const auto norm = parallel_->gradient_norm();
    update_decision(sums[0], norm, std::numeric_limits<double>::infinity(), /*clip_limit=*/1.0);
    return DeferredValues(torch::cat({sums, norm.unsqueeze(0)}));
  }

 private:
  Config config_;
  torch::Device device_;
  Tokenizer tokenizer_{config_.data.tokenizer};
  TrainingData data_{config_, open_run_datasets(config_, tokenizer_).train, /*pinned=*/true};
  ZebraModel model_{config_.model, ParameterMemory::placeholder};
  Communicator alone_;
  std::optional<ShardedDataParallel> parallel_;
  std::optional<StepGradients> gradients_;
};

TEST_CASE("the host waits for nothing in a steady step") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  std::vector<std::string> settings = {"model.global_rope_theta=50000"};
  if (GENERATE(false, true)) {
    settings.emplace_back(
        "model.rope_scaling={type: dynamic, factor: 2, original_max_position_embeddings: 16}");
  }
  const auto config = tiny_run(folder, settings);
  Training on_device(config, pretended::device()), on_cpu(config, torch::kCPU);
  on_device.step(1);
  on_cpu.step(1);
  std::vector<double> values;
  {
    const pretended::HostWaits waits;
    const auto deferred = on_device.step(2);
    REQUIRE(waits.found() == std::vector<std::string>{});
    values = deferred.get();
    REQUIRE(waits.found() == std::vector<std::string>{"for an event"});
  }
  const auto expected = on_cpu.step(2).get();
  REQUIRE(values.size() == 1 + kStopSignals.size() + 1);
  for (std::size_t i = 0; i < values.size(); ++i)
    REQUIRE(values[i] == Approx(expected[i]).epsilon(1e-4));
  REQUIRE(values.front() > 1.0);
}

TEST_CASE("the host waits for nothing in a measured step either, and it changes nothing") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto config = tiny_run(folder);
  Training measured(config, pretended::device()), plain(config, pretended::device());
  LayerStatistics statistics(config.model.layers.size(), pretended::device());
  for (const std::int64_t step : {1, 2}) {
    std::optional<DeferredValues> values, sums, maxima;
    {
      const pretended::HostWaits waits;
      values = measured.step(step, &statistics);
      sums.emplace(statistics.sums());
      maxima.emplace(statistics.maxima());
      if (step > 1) REQUIRE(waits.found() == std::vector<std::string>{});
    }
    REQUIRE(values->get() == plain.step(step).get());
    for (const double sum : sums->get()) REQUIRE(sum > 0.0);
    REQUIRE(maxima->get().back() > 1.0);
  }
}

// Local layers alone where documents are packed: the pretended device has none of our kernels, and
// without them global layers are one call for each document.
TEST_CASE("a graph of the passes gives their bits for every batch") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const std::vector<std::vector<std::string>> settings = {
      {"data.document_mask=false", "train.activation_checkpointing=selective"},
      {"data.document_mask=false",
       "model.rope_scaling={type: dynamic, factor: 2, original_max_position_embeddings: 16}"},
      {"model.self_attn_type=local"}};
  const auto config = tiny_run(folder, settings[GENERATE(0U, 1U, 2U)]);
  int graphs = 0;
  Training plain(config, pretended::device());
  Training recorded(config, pretended::device(), [&graphs] {
    ++graphs;
    return std::make_unique<pretended::Graph>();
  });
  const auto train_both = [&](std::int64_t step) {
    const auto expected = plain.step(step).get(), values = recorded.step(step).get();
    REQUIRE(values == expected);
    REQUIRE(values.front() > 1.0);
    return values;
  };
  const auto first = train_both(1);
  REQUIRE(train_both(2) != first);
  const auto kinds = graphs;  // of batches: with documents in them, and without
  REQUIRE((config.data.document_mask ? kinds >= 1 : kinds == 1));
  recorded.model()->forward(
      torch::zeros({1, 60}, torch::TensorOptions(pretended::device()).dtype(torch::kInt64)));
  train_both(2);
  REQUIRE(graphs == kinds);
  plain.model()->set_window(3);
  recorded.model()->set_window(3);
  REQUIRE(train_both(1) != first);
  train_both(2);
  REQUIRE(graphs == 2 * kinds);
}

TEST_CASE("what would wait for the device cannot be recorded") {
  const auto x = torch::ones({2}, torch::TensorOptions(pretended::device()));
  pretended::Graph graph;
  REQUIRE_THROWS_WITH(graph.record([&] { x.sum().item<float>(); }), Contains("the host is met"));
  REQUIRE_THROWS_WITH(graph.record([&] { x.to(torch::kCPU); }), Contains("the host is met"));
  REQUIRE_THROWS_WITH(device_graphs(torch::kCPU), Contains("needs a GPU"));
}

}  // namespace
}  // namespace zebra
