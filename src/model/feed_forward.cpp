#include "model/feed_forward.h"

#include "ops/linear.h"

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
  return swiglu_linear(linear_projection(x, gate_up_weight), down_weight);
}

}  // namespace zebra
