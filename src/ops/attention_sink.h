#pragma once

#include <torch/types.h>

#include "ops/attention_result.h"

namespace zebra {

// A learned attention sink: one more logit s in the softmax of each query head, with nothing behind
// it. The weight of key j is exp(score_j) / (exp(s) + sum of exp(score)), so that a head may attend
// to nothing (gpt-oss; the need for it: Xiao et al., arXiv 2309.17453).

/// What attention gives with the sinks [Hq], from the result without them: with L the log-sum-exp
/// of the scores, out' = out sigmoid(L - s) and L' = log(exp(L) + exp(s)). In place of out and L
/// they make the backward of attention that with sinks: it computes weights as exp(score - L') and
/// takes d_out . out' off. No gradient.
AttentionResult with_sink(const AttentionResult& result, const torch::Tensor& sink);

/// Gradient in the sinks [Hq] of a `result` that with_sink gave, d_out [B, T, Hq, D]: the sum over
/// sequences and tokens of -exp(s - L') d_out . out', in float32, rounded to the sinks' type.
torch::Tensor sink_gradient(const torch::Tensor& d_out, const AttentionResult& result,
                            const torch::Tensor& sink);

/// Softmax of scores [..., K] over the keys beside a sink [...] (broadcast), whose own weight is
/// left out. Differentiable; the definition that the above is tested against.
torch::Tensor softmax_with_sink(const torch::Tensor& scores, const torch::Tensor& sink);

}  // namespace zebra
