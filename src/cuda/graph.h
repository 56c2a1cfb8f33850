#pragma once

#include "ops/device_graph.h"

namespace zebra {

/// CUDA graphs of this device, with one pool of memory.
DeviceGraphs cuda_graphs(torch::Device device);

}  // namespace zebra
