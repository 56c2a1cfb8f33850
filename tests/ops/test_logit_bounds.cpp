#include "ops/logit_bounds.h"

#include <cmath>

#include "ops/attention.h"
#include "ops/torch_attention_kernels.h"
#include "support/attention_reference.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct LogitCase {
  std::int64_t window;  // below 0: global
  bool is_packed, has_sink, by_torch = false;
};

TEST_CASE("bounds of attention logits are those of dense scores in float64") {
  const auto test =
      GENERATE(LogitCase{5, false, false}, LogitCase{5, true, false}, LogitCase{9, true, true},
               LogitCase{-1, false, false}, LogitCase{-1, true, true},
               LogitCase{-1, false, false, true}, LogitCase{-1, true, false, true});
  torch::manual_seed(5);
  constexpr std::int64_t kBatch = 2, kTokens = 23, kQueryHeads = 4, kKeyHeads = 2, kWidth = 8;
  const auto heads = torch::randn({kBatch, kTokens, kQueryHeads + 2 * kKeyHeads, kWidth}) * 2.0;
  const PackedHeads packed = {heads, kQueryHeads};
  std::vector<std::vector<std::int64_t>> starts(kBatch);
  if (test.is_packed) starts = {{3, 17}, {11}};
  const auto documents =
      test.is_packed ? PackedDocuments::from_starts(starts, kTokens) : PackedDocuments();
  const auto sink = test.has_sink ? torch::tensor({1.0F, -2.0F, 9.0F, 0.5F}) : torch::Tensor();

  AttentionResult result;
  if (test.by_torch) {
    result = torch_attention_kernel(AttentionKernel::cpu_flash)
                 .forward(packed.q(), packed.k(), packed.v(), documents);
  } else if (test.window < 0) {
    global_attention(packed, {}, documents, &result, sink);
  } else {
    local_attention(packed, test.window, {}, documents, &result, sink);
  }
  REQUIRE(result.is_filled());
  const auto log_keys =
      log_visible_keys(torch::arange(kTokens).expand({kBatch, kTokens}),
                       test.window < 0 ? kTokens : test.window, test.has_sink, documents);
  const auto bounds = attention_logit_bounds(result.log_sum_exp, log_keys);
  const double lower = bounds[0].item<double>(), upper = bounds[1].item<double>();

  const auto visible = visible_keys(kTokens, test.window, starts);
  const auto exact = heads.to(torch::kFloat64);
  const auto keys =
      exact.narrow(2, kQueryHeads, kKeyHeads).repeat_interleave(kQueryHeads / kKeyHeads, 2);
  auto logits = (torch::einsum("bthd,bshd->bhts", {exact.narrow(2, 0, kQueryHeads), keys}) /
                 std::sqrt(static_cast<double>(kWidth)))
                    .masked_fill(visible.logical_not().unsqueeze(1), -INFINITY);
  auto count = visible.sum(-1).to(torch::kFloat64);
  if (test.has_sink) {
    const auto column = sink.to(torch::kFloat64).view({1, -1, 1, 1});
    logits = torch::cat({logits, column.expand({kBatch, -1, kTokens, 1})}, -1);
    count = count + 1.0;
  }
  const auto log_sum = torch::logsumexp(logits, -1);
  REQUIRE(upper == Approx(log_sum.max().item<double>()).epsilon(1e-5));
  REQUIRE(lower == Approx((log_sum - count.log().unsqueeze(1)).max().item<double>()).epsilon(1e-5));
  const double largest = logits.max().item<double>();
  REQUIRE(lower <= largest + 1e-5);
  REQUIRE(largest <= upper + 1e-5);
  REQUIRE(largest > 3.0);
}

}  // namespace
}  // namespace zebra
