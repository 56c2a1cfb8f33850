#include <torch/csrc/autograd/autograd.h>

#include "competitor.h"

namespace zebra::bench {
namespace {

class AutogradCompetitor final : public Competitor {
 public:
  AutogradCompetitor(const Problem& problem, Attention attention)
      : attention_(std::move(attention)), d_out_(problem.d_out) {
    for (const auto& slice : {problem.inputs.q(), problem.inputs.k(), problem.inputs.v()}) {
      leaves_.push_back(slice.detach().requires_grad_());
    }
  }

  void forward() override { out_ = attention_(leaves_[0], leaves_[1], leaves_[2]); }

  void backward() override {
    gradients_ = torch::autograd::grad({out_}, leaves_, {d_out_}, /*retain_graph=*/true);
  }

  Result result() const override {
    return {out_.detach(), gradients_[0], gradients_[1], gradients_[2]};
  }

 private:
  Attention attention_;
  torch::Tensor d_out_;
  std::vector<torch::Tensor> leaves_;
  torch::Tensor out_;
  std::vector<torch::Tensor> gradients_;
};

}  // namespace

std::unique_ptr<Competitor> autograd_competitor(const Problem& problem, Attention attention) {
  return std::make_unique<AutogradCompetitor>(problem, std::move(attention));
}

}  // namespace zebra::bench
