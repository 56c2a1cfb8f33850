#include "ablation/probe_loss_share.h"

#include "base/error.h"
#include "base/text.h"
#include "config/fields.h"
#include "data/tokenizer.h"
#include "data/training_data.h"

namespace zebra {

void set_probe_loss_share(Config& config, double share) {
  auto& train = config.data.train;
  auto& weight = train.back().loss_weight;
  weight = 1.0;
  const Tokenizer tokenizer(config.data.tokenizer);
  const TrainingData data(
      config, open_datasets({train.begin(), train.end()}, tokenizer, config.model.vocab_size),
      /*pinned=*/false);
  const double unweighted = data.shares().back().loss;
  weight = share / (1.0 - share) * (1.0 - unweighted) / unweighted;
  if (weight >= kLeastLossWeight && weight <= kMostLossWeight) return;
  throw InputError("probes.training_loss_share: " + round_trip(share) +
                   " of the loss would take a loss_weight of " + scientific(weight) +
                   " for the probes, whose targets are " + fixed(100.0 * unweighted, 2) +
                   " % of the loss without it; set another probes.training_share");
}

}  // namespace zebra
