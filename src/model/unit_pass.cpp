#include "model/unit_pass.h"

#include <torch/csrc/autograd/autograd.h>

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <type_traits>

#include "ops/accumulated_gradient.h"
#include "ops/part_scope.h"

namespace zebra {
namespace {

using Body = std::function<torch::Tensor(const torch::Tensor&)>;

/// A leaf with the values of `input`, at which the unit's own graph ends.
torch::Tensor leaf_of(const torch::Tensor& input) {
  return input.defined() ? input.detach().requires_grad_(input.requires_grad()) : input;
}

class UnitBackward : public torch::autograd::Node {
 public:
  UnitBackward(const UnitPass& pass, Body body) : pass_(pass), body_(std::move(body)) {}

  /// The unit's output without its graph, which this node keeps, or makes again when it is needed.
  torch::Tensor compute(const torch::Tensor& input) {
    input_ = leaf_of(input);
    if (!pass_.recompute) {
      output_ = body_(input_);
      body_ = nullptr;
      return output_.detach();
    }
    const torch::NoGradGuard no_grad;
    return body_(input_).detach();
  }

  std::string name() const override { return "UnitBackward"; }

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    ZEBRA_PART("backward, ", pass_.part);
    if (pass_.observer) pass_.observer->before_backward(pass_.unit, pass_.backward_reads_weights);
    if (pass_.recompute) {
      const torch::AutoGradMode with_gradients(true);
      output_ = body_(input_);
    }
    const auto input = input_;
    {
      const GradientAccumulation accumulation;
      torch::autograd::backward({output_}, {gradients[0]});
    }
    release_variables();
    if (pass_.observer) pass_.observer->after_backward(pass_.unit);
    if (!input.defined()) return {};
    return {input.grad()};
  }

  void release_variables() override {
    input_.reset();
    output_.reset();
    body_ = nullptr;  // it may hold what was kept of the forward pass
  }

 private:
  UnitPass pass_;
  Body body_;
  torch::Tensor input_, output_;
};

/// A node that its owners share as LibTorch wants it: by a count of its own in later releases, by
/// one beside it, with a function that deletes long graphs without recursion, in 2.11.
template <class Node, class... Arguments>
auto make_node(Arguments&&... arguments) {
  if constexpr (std::is_base_of_v<c10::intrusive_ptr_target, Node>) {
    return c10::make_intrusive<Node>(std::forward<Arguments>(arguments)...);
  } else {
    return std::shared_ptr<Node>(new Node(std::forward<Arguments>(arguments)...),
                                 [](auto* node) { deleteNode(node); });
  }
}

}  // namespace

torch::Tensor run_unit(const UnitPass& pass, const torch::Tensor& input, const Body& body) {
  ZEBRA_PART("forward, ", pass.part);
  if (pass.observer) pass.observer->before_forward(pass.unit);
  torch::Tensor output;
  if (torch::GradMode::is_enabled() && (pass.observer != nullptr || pass.recompute)) {
    const auto node = make_node<UnitBackward>(pass, body);
    if (input.defined()) node->set_next_edges(torch::autograd::collect_next_edges(input));
    output = node->compute(input);
    torch::autograd::set_history(output, node);
  } else {
    output = body(input);
  }
  if (pass.observer) pass.observer->after_forward(pass.unit);
  return output;
}

}  // namespace zebra
