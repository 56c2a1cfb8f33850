#include "ablation/probes.h"

#include "base/error.h"
#include "data/tokenizer.h"
#include "data/training_data.h"
#include "support/tensors.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;

/// The last of three sources is in the place of the probes.
Config mixture(const TemporaryFolder& folder) {
  auto config = tiny_run(folder, {"train.max_steps=1", "schedule.warmup_steps=0"});
  config.data.train = {{{folder / "train", 3.0}, 2.0},
                       {{folder / "train", 5.0}, 1.0},
                       {{folder / "valid", 1.0}, 1.0}};
  return config;
}

TEST_CASE("probes get the loss weight that gives them their share of the loss") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const double share = GENERATE(0.02, 0.5, 0.9);
  auto config = mixture(folder);
  set_probe_loss_share(config, share);
  REQUIRE(config.data.train[0].loss_weight == 2.0);
  const double weight = config.data.train[2].loss_weight;

  const Tokenizer tokenizer(config.data.tokenizer);
  TrainingData data(config, open_run_datasets(config, tokenizer).train, /*pinned=*/false);
  double of_probes = 0.0, of_all = 0.0;
  for (std::int64_t step = 1; step <= 256; ++step) {  // a block of the mixture
    const auto batch = data.step(step);
    for (std::size_t s = 0; s < 3; ++s) {
      const double part =
          config.data.train[s].loss_weight * static_cast<double>(batch.sources[s].targets);
      of_all += part;
      if (s == 2) of_probes += part;
    }
  }
  REQUIRE(of_probes / of_all == Approx(share).epsilon(0.03));
  set_probe_loss_share(config, share);
  REQUIRE(config.data.train[2].loss_weight == weight);  // whatever it was before
}

TEST_CASE("a share that no loss weight gives is refused") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  auto config = mixture(folder);
  REQUIRE_THROWS_WITH(set_probe_loss_share(config, 1e-9),
                      Catch::Matchers::Contains("probes.training_loss_share: 1e-09 of the loss"));
}

}  // namespace
}  // namespace zebra
