#pragma once

#include <torch/types.h>

#include "config/config.h"

namespace zebra {

/// The type of the model's weights under a precision.
torch::ScalarType weight_type(Precision precision);

/// The device that run.device means for rank `local_rank` of this machine: a GPU of its own, or the
/// CPU. Throws InputError when cuda is asked for and there is none, or not one for each rank.
torch::Device resolve_device(Device device, int local_rank = 0);

/// Bytes of memory in all: a GPU's own, or the machine's (see memory_of_machine).
std::int64_t device_memory_bytes(torch::Device device);

/// Sets LibTorch for the whole process, before its first product on `device`: float32 products
/// without TF32, no sums of products in bfloat16, and, where `deterministic`, operations that give
/// the same bits each time. What has no such form on a GPU then throws, by name; on the CPU, where
/// all that the program uses has one, LibTorch would only warn.
void set_numerics(bool deterministic, torch::Device device);

}  // namespace zebra
