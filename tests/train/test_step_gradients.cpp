#include "train/step_gradients.h"

#include <limits>

#include "data/tokenizer.h"
#include "optim/adamw.h"
#include "support/pretended_device.h"
#include "support/tensors.h"
#include "support/tiny_data.h"
#include "train/metrics.h"
#include "train/stop_signal.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the pretended device sees what a GPU's host would wait for") {
  const auto x = torch::arange(6, torch::kFloat32);
  const auto pinned = x.pin_memory();
  REQUIRE(pinned.is_pinned());
  pretended::HostWaits waits;
  const auto there = pinned.to(pretended::kDevice, /*non_blocking=*/true);
  const auto sum = (there + there).sum();
  REQUIRE(waits.found().empty());
  REQUIRE(sum.item<float>() == 30.0F);
  x.to(pretended::kDevice);
  x.to(pretended::kDevice, /*non_blocking=*/true);  // from pageable memory it is no less blocking
  there.to(torch::kCPU);
  REQUIRE(waits.found() == std::vector<std::string>{"for a scalar", "a copy to the device 6",
                                                    "a copy to the device 6",
                                                    "a copy to the host 6"});
}

/// A model in training, as the Trainer has it.
class Training {
 public:
  Training(const Config& config, torch::Device device) : config_(config), device_(device) {
    if (!device.is_cpu()) pretended::move_to_device(*model_);
    parallel_.emplace(model_, ShardingOptions{Sharding::none, torch::kFloat32, torch::kFloat32},
                      ProcessGroups{&alone_, &alone_}, device, /*seed=*/3);
  }

  /// All of a step but the optimizer's update, which on the device is one kernel of ours.
  DeferredValues step(std::int64_t number) {
    const auto loss = add_step_gradients({model_, *parallel_, device_, /*z_loss=*/1e-4},
                                         data_.step(number), [] {});
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
  Training on_device(config, pretended::kDevice), on_cpu(config, torch::kCPU);
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

}  // namespace
}  // namespace zebra
