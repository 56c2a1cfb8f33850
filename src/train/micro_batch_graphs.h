#pragma once

#include <torch/types.h>

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "data/training_data.h"
#include "model/zebra_model.h"
#include "ops/device_graph.h"

namespace zebra {

/// The passes of a micro-batch as graphs of the device's work: for short sequences and small models
/// the host takes longer to queue some thousand kernels than the device to compute them.
///
/// There is a graph for each kind of batch, as the host decides otherwise for another: by its
/// sizes, by whether documents or loss weights are there, and by the window of local layers. The
/// first batch of a kind is computed as ever, which makes all that is made once; with the second
/// the passes are recorded.
class MicroBatchGraphs {
 public:
  /// Queues the passes over a batch on the device, the same work for all of a kind: nothing may
  /// depend on `documents.lengths`, which recorded batches do not have.
  using Passes = std::function<void(const Batch& on_device)>;

  /// `model` is the one that the passes go through.
  MicroBatchGraphs(const ZebraModel& model, DeviceGraphs make_graph, torch::Device device)
      : model_(model), make_graph_(std::move(make_graph)), device_(device) {}

  /// Queues the passes over `batch`, which lies on the host.
  void run(const Batch& batch, const Passes& passes);

 private:
  struct Kind {
    std::array<std::int64_t, 2> sizes;  // B, T
    bool is_packed, is_weighted;

    auto operator<=>(const Kind&) const = default;
  };
  struct Recording {
    Batch inputs;         // on the device, where the graph reads
    RotaryTables rotary;  // the graph reads these; the model may make others for other lengths
    std::unique_ptr<DeviceGraph> graph;
  };

  Recording record(const Batch& batch, const Passes& passes);

  ZebraModel model_;
  DeviceGraphs make_graph_;
  torch::Device device_;
  std::int64_t window_ = 0;                           // of all recordings
  std::map<Kind, std::optional<Recording>> by_kind_;  // none yet after the first of a kind
};

}  // namespace zebra
