#include "ops/attention_sink.h"

namespace zebra {
namespace {

// [Hq] beside log-sum-exps [B, Hq, T].
torch::Tensor beside_log_sum_exp(const torch::Tensor& sink) {
  return sink.detach().to(torch::kFloat32).view({1, -1, 1});
}

}  // namespace

AttentionResult with_sink(const AttentionResult& result, const torch::Tensor& sink) {
  const torch::NoGradGuard no_grad;
  const auto s = beside_log_sum_exp(sink);
  const auto share = torch::sigmoid(result.log_sum_exp - s).transpose(1, 2).unsqueeze(-1);
  return {(result.out * share).to(result.out.scalar_type()),
          torch::logaddexp(result.log_sum_exp, s), result.saved};
}

torch::Tensor sink_gradient(const torch::Tensor& d_out, const AttentionResult& result,
                            const torch::Tensor& sink) {
  const auto weight = torch::exp(beside_log_sum_exp(sink) - result.log_sum_exp);
  const auto dot = (d_out.to(torch::kFloat32) * result.out.to(torch::kFloat32)).sum(-1);
  return -(weight * dot.transpose(1, 2)).sum(at::IntArrayRef{0, 2}).to(sink.scalar_type());
}

torch::Tensor softmax_with_sink(const torch::Tensor& scores, const torch::Tensor& sink) {
  auto shape = scores.sizes().vec();
  shape.back() = 1;
  const auto column = sink.to(scores.scalar_type()).unsqueeze(-1).expand(shape);
  return torch::softmax(torch::cat({scores, column}, -1), -1).narrow(-1, 0, scores.size(-1));
}

}  // namespace zebra
