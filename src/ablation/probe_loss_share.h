#pragma once

#include "config/config.h"

namespace zebra {

/// Sets the loss_weight of the last source of data.train, the training probes, so that it gives
/// `share` (in (0, 1)) of the loss weights: what the expected targets of the sources come to (see
/// TrainingData::shares). The same data give the same weight. Throws InputError when a dataset
/// cannot be used, or the weight would be out of bounds.
void set_probe_loss_share(Config& config, double share);

}  // namespace zebra
