#include "ops/attention_kernels.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr std::int64_t kBatch = 2, kQueryHeads = 4, kKeyHeads = 2, kWidth = 10;

// The CPU's kernels as one without a first query would be called.
struct KernelsOfAllQueries {
  static constexpr bool kHasData = true, kTakesLateQueries = false;
  static torch::Tensor readable(const torch::Tensor& x) { return x.contiguous(); }
  static std::size_t saved_bytes(const kernels::LocalAttentionShape&) { return 0; }
  static std::size_t workspace_bytes(const kernels::LocalAttentionShape& shape) {
    return kernels::local_attention_backward_workspace_bytes(shape);
  }
  template <class Arguments>
  static void launch(const Arguments& arguments, const torch::Tensor&, torch::Device) {
    if constexpr (requires { arguments.d_out; })
      kernels::local_attention_backward(arguments, parallel_tasks);
    else
      kernels::local_attention_forward(arguments, parallel_tasks);
  }
};
using AllQueries = AttentionOperators<KernelsOfAllQueries>;

AttentionInputs random_inputs(std::int64_t length, std::int64_t window, bool has_documents,
                              torch::ScalarType type) {
  const auto random = [&](std::int64_t heads) {
    return torch::randn({kBatch, length, heads, kWidth}).to(type);
  };
  AttentionInputs in = {
      .q = random(kQueryHeads), .k = random(kKeyHeads), .v = random(kKeyHeads), .window = window};
  const auto positions = torch::arange(length);
  in.rotary = {torch::rand({length, kWidth / 2}), torch::rand({length, kWidth / 2})};
  if (has_documents) {
    in.first_token = torch::stack({positions.div(75, "floor") * 75, positions.div(9, "floor") * 9});
  }
  return in;
}

TEST_CASE("queries of the last tokens give what they give among all of them") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const std::int64_t begin = GENERATE(64, 128, 512), queries = GENERATE(1, 64, 77, 700);
  const std::int64_t window = GENERATE(0, 1, 63, 130, 5000);
  const bool has_documents = GENERATE(false, true);
  torch::manual_seed(5);
  INFO("begin " << begin << " queries " << queries << " window " << window);
  const auto all = random_inputs(begin + queries, window, has_documents, type);
  auto late = all;
  late.q = all.q.narrow(1, begin, queries);
  const auto expected = compute_attention(all), result = compute_attention(late);
  REQUIRE(same_bits(result.out, expected.out.narrow(1, begin, queries)));
  REQUIRE(same_bits(result.log_sum_exp, expected.log_sum_exp.narrow(2, begin, queries)));

  auto d_out = torch::randn_like(all.q);
  d_out.narrow(1, 0, begin).zero_();
  const auto late_d_out = d_out.narrow(1, begin, queries);
  const auto whole = differentiate_attention(d_out, all, expected, false);
  const auto parts = differentiate_attention(late_d_out, late, result, false);
  const double bound = type == torch::kFloat32 ? 1e-5 : 0.1;
  require_close(std::get<0>(parts), std::get<0>(whole).narrow(1, begin, queries), bound);
  require_close(std::get<1>(parts), std::get<1>(whole), bound);
  require_close(std::get<2>(parts), std::get<2>(whole), bound);

  const auto padded = AllQueries::forward(late.q, late.k, late.v, window, late.rotary.cos,
                                          late.rotary.sin, late.first_token);
  REQUIRE(same_bits(std::get<0>(padded), result.out));
  REQUIRE(same_bits(std::get<1>(padded), result.log_sum_exp));
  const auto of_padded = AllQueries::backward(
      late_d_out, late.q, late.k, late.v, window, late.rotary.cos, late.rotary.sin,
      late.first_token, result.out, result.log_sum_exp, torch::Tensor(), false);
  require_close(std::get<0>(of_padded), std::get<0>(parts), bound);
  require_close(std::get<1>(of_padded), std::get<1>(parts), bound);
  require_close(std::get<2>(of_padded), std::get<2>(parts), bound);
}

TEST_CASE("queries that begin inside a tile are refused") {
  auto in = random_inputs(100, 5, false, torch::kFloat32);
  in.q = in.q.narrow(1, 63, 37);
  REQUIRE_THROWS_WITH(compute_attention(in), Catch::Matchers::Contains("must agree in B, T and D"));
}

}  // namespace
}  // namespace zebra
