#include "model/feed_forward.h"

namespace zebra {

FeedForwardImpl::FeedForwardImpl(const ModelSection& model, ParameterMemory memory)
    : hidden_size_(model.hidden_size),
      intermediate_size_(model.intermediate_size),
      memory_(memory) {
  reset();
}

void FeedForwardImpl::reset() {
  gate_up_weight = register_parameter(
      "gate_up_weight", empty_parameter({2 * intermediate_size_, hidden_size_}, memory_));
  down_weight = register_parameter("down_weight",
                                   empty_parameter({hidden_size_, intermediate_size_}, memory_));
}

torch::Tensor FeedForwardImpl::forward(const torch::Tensor& x) {
  const auto gate_up = torch::linear(x, gate_up_weight).chunk(2, -1);
  return torch::linear(torch::silu(gate_up[0]) * gate_up[1], down_weight);
}

}  // namespace zebra
