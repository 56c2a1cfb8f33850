#pragma once

#include "config/config.h"
#include "measurement/cost_model.h"
#include "measurement/device_meter.h"

namespace zebra {

/// Times the parts of a model, each alone, on work.batch sequences of work.length tokens. Every
/// time is the median of a few after one that does not count. Holds the weights and gradients of
/// one model while it runs.
ReferenceSeconds time_reference(const ReferenceWork& work, Precision precision,
                                const OptimizerSection& optimizer, const DeviceMeter& meter);

}  // namespace zebra
