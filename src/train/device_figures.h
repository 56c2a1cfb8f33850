#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <optional>

#include "config/config.h"

namespace zebra {

/// Memory that the training has taken in GiB: the most that tensors had on a GPU so far, the
/// resident memory of this process on the CPU. Nothing where the system does not tell.
std::optional<double> memory_gib(c10::Device device);

/// FLOPs per second that the data sheet promises for matrix products in that precision; nothing
/// for a CPU, or a GPU that we have no sheet of.
std::optional<double> sheet_flops(c10::Device device, Precision precision);

/// FLOPs of the model's passes per token, forward and backward, with that window in local layers:
/// what activation checkpointing computes again does not count.
double flops_per_token(const Config& config, std::int64_t window);

}  // namespace zebra
