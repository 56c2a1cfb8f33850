#include "ops/device_graph.h"

#include "base/error.h"
#include "ops/cuda_library.h"

namespace zebra {

DeviceGraphs device_graphs(torch::Device device) {
  if (device.is_cuda()) return cuda_library().graphs(device);
  throw InputError("train.cuda_graph: true needs a GPU, and this run is on " + device.str() +
                   "; set run.device to cuda, or train.cuda_graph to false");
}

}  // namespace zebra
