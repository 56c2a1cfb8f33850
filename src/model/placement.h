#pragma once

#include <torch/torch.h>

#include "config/config.h"

namespace zebra {

/// The type of the model's weights under a precision.
torch::ScalarType weight_type(Precision precision);

/// The device that run.device means on this machine. Throws InputError when cuda is asked for and
/// there is none.
torch::Device resolve_device(Device device);

}  // namespace zebra
