#include <torch/csrc/autograd/autograd.h>
#include <torch/library.h>

#include "ops/torch_attention_kernels.h"

#include <ATen/SDPBackend.h>
#include <ATen/ops/_flash_attention_forward_ops.h>
#include <ATen/record_function.h>

#include "ops/attention.h"
#include "support/attention_gradients.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using std::optional;
using torch::Tensor;

// LibTorch's kernels for a GPU, played on the CPU: what scaled_dot_product_attention would choose
// on a Hopper (cuDNN's, and FlashAttention for a single key, which cuDNN's refuses), and kernels
// that lay out their log-sum-exp as the real ones do and refuse any other's.

int calls_of_cudnn, calls_of_variable_length;

std::int64_t hopper_choice(const Tensor&, const Tensor& key, const Tensor&, const optional<Tensor>&,
                           double, bool, optional<double>, bool) {
  return static_cast<std::int64_t>(key.size(2) > 1 ? at::SDPBackend::cudnn_attention
                                                   : at::SDPBackend::flash_attention);
}

std::tuple<Tensor, Tensor, Tensor, Tensor, c10::SymInt, c10::SymInt, Tensor, Tensor, Tensor>
cudnn_forward(const Tensor& q, const Tensor& k, const Tensor& v, const optional<Tensor>&, bool,
              double dropout, bool causal, bool, optional<double>) {
  ++calls_of_cudnn;
  const auto [out, log_sum_exp] =
      at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, dropout, causal);
  const auto state = torch::zeros({2}, torch::kInt64);
  return {out, log_sum_exp.unsqueeze(-1), {}, {}, q.size(2), k.size(2), state, state, {}};
}

std::tuple<Tensor, Tensor, Tensor> cudnn_backward(
    const Tensor& d_out, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
    const Tensor& log_sum_exp, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
    const Tensor&, c10::SymInt, c10::SymInt, double dropout, bool causal, optional<double>) {
  TORCH_CHECK(log_sum_exp.dim() == 4, "not cuDNN's log-sum-exp: ", log_sum_exp.sizes());
  return at::_scaled_dot_product_flash_attention_for_cpu_backward(
      d_out, q, k, v, out, log_sum_exp.squeeze(-1), dropout, causal);
}

// [N, H, D] cut at the offsets, each piece as [1, H, length, D].
std::vector<Tensor> pieces_of(const Tensor& x, const Tensor& offsets) {
  std::vector<Tensor> pieces;
  for (std::int64_t i = 0; i + 1 < offsets.numel(); ++i) {
    pieces.push_back(x.slice(0, offsets[i].item<int>(), offsets[i + 1].item<int>())
                         .transpose(0, 1)
                         .unsqueeze(0));
  }
  return pieces;
}

Tensor together(const std::vector<Tensor>& pieces) {
  return torch::cat(pieces, 2).squeeze(0).transpose(0, 1).contiguous();
}

void check_offsets(const optional<Tensor>& offsets, const Tensor& q, const c10::SymInt& longest) {
  TORCH_CHECK(offsets && offsets->scalar_type() == torch::kInt32, "offsets are int32");
  TORCH_CHECK(offsets->select(0, 0).item<int>() == 0 &&
                  offsets->select(0, -1).item<int>() == q.size(0) && q.dim() == 3,
              "offsets cover all tokens");
  TORCH_CHECK(offsets->diff().max().item<int>() == longest.expect_int(), "the longest document");
}

// `Rest` is what this LibTorch's operator has behind the arguments that matter.
template <class... Rest>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> variable_length_forward(
    const Tensor& q, const Tensor& k, const Tensor& v, const optional<Tensor>& q_offsets,
    const optional<Tensor>& k_offsets, c10::SymInt longest, c10::SymInt, double dropout,
    bool causal, Rest...) {
  ++calls_of_variable_length;
  check_offsets(q_offsets, q, longest);
  check_offsets(k_offsets, k, longest);
  const auto qs = pieces_of(q, *q_offsets), ks = pieces_of(k, *q_offsets),
             vs = pieces_of(v, *q_offsets);
  std::vector<Tensor> outs, sums;
  for (std::size_t i = 0; i < qs.size(); ++i) {
    const auto [out, sum] =
        at::_scaled_dot_product_flash_attention_for_cpu(qs[i], ks[i], vs[i], dropout, causal);
    outs.push_back(out);
    sums.push_back(sum.squeeze(0));
  }
  const auto state = torch::zeros({2}, torch::kInt64);
  return {together(outs), torch::cat(sums, 1), state, state, {}};
}

std::tuple<Tensor, Tensor, Tensor> variable_length_backward(
    const Tensor& d_out, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
    const Tensor& log_sum_exp, const Tensor& offsets, const Tensor&, c10::SymInt longest,
    c10::SymInt, double dropout, bool causal, const Tensor&, const Tensor&, optional<double>,
    optional<c10::SymInt>, optional<c10::SymInt>) {
  check_offsets(offsets, q, longest);
  TORCH_CHECK(log_sum_exp.dim() == 2, "not variable lengths' log-sum-exp: ", log_sum_exp.sizes());
  const auto d_outs = pieces_of(d_out, offsets), qs = pieces_of(q, offsets),
             ks = pieces_of(k, offsets), vs = pieces_of(v, offsets), outs = pieces_of(out, offsets);
  std::vector<Tensor> dqs, dks, dvs;
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < qs.size(); ++i) {
    const auto length = qs[i].size(2);
    const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        d_outs[i], qs[i], ks[i], vs[i], outs[i],
        log_sum_exp.narrow(1, begin, length).unsqueeze(0).contiguous(), dropout, causal);
    begin += length;
    dqs.push_back(dq);
    dks.push_back(dk);
    dvs.push_back(dv);
  }
  return {together(dqs), together(dks), together(dvs)};
}

class PlayedHopper {
 public:
  PlayedHopper() {
    calls_of_cudnn = calls_of_variable_length = 0;
    library_.impl("_fused_sdp_choice", hopper_choice);
    library_.impl("_scaled_dot_product_cudnn_attention", cudnn_forward);
    library_.impl("_scaled_dot_product_cudnn_attention_backward", cudnn_backward);
    using Forward = at::_ops::_flash_attention_forward::schema;
    library_.impl("_flash_attention_forward", static_cast<Forward*>(variable_length_forward));
    library_.impl("_flash_attention_backward", variable_length_backward);
  }

 private:
  torch::Library library_{torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__};
};

struct Case {
  std::int64_t batch, length;
  std::vector<std::vector<std::int64_t>> document_starts = {};  // empty: not packed
};

// Of the first and of the second call, as a recomputed layer does it.
void check_both_calls(const Case& c) {
  INFO("B " << c.batch << " T " << c.length << " packed " << !c.document_starts.empty());
  torch::manual_seed(c.length);
  const auto packed = torch::randn({c.batch, c.length, 8, 16});
  const auto d_out = torch::randn({c.batch, c.length, 4, 16});
  PackedDocuments documents;
  if (!c.document_starts.empty())
    documents = PackedDocuments::from_starts(c.document_starts, c.length);
  AttentionResult saved;
  const auto attention = [&](const PackedHeads& heads) {
    return plain_global_attention(heads.q(), heads.k(), heads.v(), {}, documents, &saved);
  };
  const auto expected = attention_gradients(packed, 4, d_out, [&](const PackedHeads& heads) {
    return plain_global_attention(heads.q(), heads.k(), heads.v(), {}, documents);
  });
  const PlayedHopper hopper;
  {
    const torch::NoGradGuard no_grad;
    attention({packed.clone(), 4});
  }
  REQUIRE(saved.is_filled());
  const auto again = attention_gradients(packed, 4, d_out, attention);
  require_close(again.out, expected.out, 1e-6);
  require_close(again.packed, expected.packed, 1e-5);
  REQUIRE(calls_of_cudnn == (documents.is_packed() ? 0 : 1));
  REQUIRE(calls_of_variable_length == (documents.is_packed() ? 1 : 0));
}

TEST_CASE("cuDNN's kernel is for whole sequences, and its result for its own backward") {
  check_both_calls({2, 65});
  check_both_calls({1, 2});
}

TEST_CASE("documents of any lengths are one call, a single token among them") {
  check_both_calls({1, 40, {{39}}});
  check_both_calls({2, 40, {{1, 7}, {20, 39}}});
  check_both_calls({3, 33, {{}, {1, 2, 3}, {32}}});
}

TEST_CASE("texts that grow are no work for cuDNN's kernel") {
  static bool was_enabled;
  was_enabled = true;
  REQUIRE(at::globalContext().userEnabledCuDNNSDP());
  const auto handle =
      at::addGlobalCallback(at::RecordFunctionCallback([](const at::RecordFunction& call) {
                              if (std::string(call.name()) == "aten::scaled_dot_product_attention")
                                was_enabled = at::globalContext().userEnabledCuDNNSDP();
                              return std::unique_ptr<at::ObserverContext>();
                            }).scopes({at::RecordScope::FUNCTION}));
  plain_cached_attention(torch::randn({1, 1, 2, 8}), torch::randn({1, 5, 2, 8}),
                         torch::randn({1, 5, 2, 8}));
  at::removeCallback(handle);
  REQUIRE_FALSE(was_enabled);
  REQUIRE(at::globalContext().userEnabledCuDNNSDP());
}

PackedDocuments of_lengths(std::vector<std::int64_t> lengths) {
  std::vector<std::int64_t> starts;
  std::int64_t end = 0;
  for (const auto length : lengths) starts.push_back(end += length);
  starts.pop_back();
  return PackedDocuments::from_starts({starts}, end);
}

TEST_CASE("which global layers our kernel computes") {
  const PackedDocuments none;
  const auto brief = of_lengths({700, 700, 1, 15000 % 700});
  // Half of the tokens see 5000, the others 100: 2550 on average.
  std::vector<std::int64_t> mixed(50, 100);
  mixed.push_back(5000);
  const auto wide = of_lengths({8000, 8000, 300});
  for (const auto& documents : {none, brief, of_lengths(mixed), wide}) {
    REQUIRE(our_kernel_is_for_global_layers(/*on_cpu=*/true, false, documents));
    REQUIRE(our_kernel_is_for_global_layers(false, /*deterministic=*/true, documents));
  }
  REQUIRE_FALSE(our_kernel_is_for_global_layers(false, false, none));
  REQUIRE(our_kernel_is_for_global_layers(false, false, brief));
  REQUIRE(our_kernel_is_for_global_layers(false, false, of_lengths(mixed)));
  REQUIRE_FALSE(our_kernel_is_for_global_layers(false, false, wide));
}

}  // namespace
}  // namespace zebra
