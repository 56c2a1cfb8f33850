#include "train/micro_batch_graphs.h"

#include <utility>
#include <vector>

namespace zebra {
namespace {

// The tensors that a pass reads, in a fixed order; undefined ones are not there.
std::vector<torch::Tensor> tensors_of(const Batch& batch) {
  return {batch.tokens, batch.targets, batch.target_weights, batch.documents.first_token};
}

void copy_into(const Batch& inputs, const Batch& batch) {
  const auto targets = tensors_of(inputs), sources = tensors_of(batch);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (sources[i].defined()) targets[i].copy_(sources[i], /*non_blocking=*/true);
  }
}

}  // namespace

void MicroBatchGraphs::run(const Batch& batch, const Passes& passes) {
  if (model_->window() != window_) {
    by_kind_.clear();
    window_ = model_->window();
  }
  const Kind kind = {.sizes = {batch.tokens.size(0), batch.tokens.size(1)},
                     .is_packed = batch.documents.is_packed(),
                     .is_weighted = batch.target_weights.defined()};
  const auto [found, is_first] = by_kind_.try_emplace(kind);
  if (is_first) {
    passes(batch.to(device_));
    return;
  }
  auto& recording = found->second;
  if (recording)
    copy_into(recording->inputs, batch);
  else
    recording = record(batch, passes);
  recording->graph->replay();
}

MicroBatchGraphs::Recording MicroBatchGraphs::record(const Batch& batch, const Passes& passes) {
  auto inputs = batch.to(device_);
  inputs.documents.lengths.clear();
  inputs.documents.offsets.reset();
  auto rotary = model_->rotary_tables(batch.tokens.size(1), device_);
  auto graph = make_graph_();
  graph->record([&] { passes(inputs); });
  return {std::move(inputs), std::move(rotary), std::move(graph)};
}

}  // namespace zebra
