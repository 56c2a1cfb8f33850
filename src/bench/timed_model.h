#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "bench/cost_model.h"
#include "bench/device_meter.h"
#include "config/config.h"
#include "model/zebra_model.h"
#include "optim/adamw.h"

namespace zebra {

/// A model as a training run of one rank holds it: weights and gradients of each unit in two flat
/// buffers, weights in the precision's type, gradients in float32. Initial weights of seed 1.
struct FlatModel {
  FlatModel(const ModelConfig& section, Precision precision, torch::Device device);

  std::vector<torch::Tensor> gradients() const;

  ZebraModel model;
  std::vector<OptimizerRange> ranges;
};

/// Random tokens below `vocabulary`, [batch, length] int64 in the host's memory: a function of
/// shape and `purpose`.
torch::Tensor random_tokens(std::int64_t batch, std::int64_t length, std::int64_t vocabulary,
                            const char* purpose);

/// One forward pass over random tokens with its autograd graph, and the backward pass from it. Adds
/// to the gradients.
PassSeconds time_loss(ZebraModel& model, std::int64_t batch, std::int64_t length,
                      const DeviceMeter& meter);

/// What follows the backward pass in a step: norm of the gradients, clipping, AdamW, and zeroing
/// the gradients.
double time_update(AdamW& optimizer, const std::vector<torch::Tensor>& gradients, double lr,
                   double grad_clip, const DeviceMeter& meter);

struct GenerationSeconds {
  double prefill = 0;    ///< until the first token
  double per_token = 0;  ///< median of those after it
};

/// Greedy generation of `new_tokens` (at least 2) after a random prompt of `length` tokens.
GenerationSeconds time_generation(ZebraModel& model, std::int64_t length, std::int64_t new_tokens,
                                  const DeviceMeter& meter);

/// Times the parts of a model, each alone, on work.batch sequences of work.length tokens. Every
/// time is the median of a few after one that does not count. Holds the weights and gradients of
/// one model while it runs.
ReferenceSeconds time_reference(const ReferenceWork& work, Precision precision,
                                const OptimizerSection& optimizer, const DeviceMeter& meter);

}  // namespace zebra
