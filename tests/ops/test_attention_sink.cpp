#include <torch/csrc/autograd/autograd.h>

#include "ops/attention_operator.h"

#include "ops/attention.h"
#include "support/attention_reference.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct SinkCase {
  std::int64_t batch, length, window, query_heads, key_heads, width;
  std::vector<std::vector<std::int64_t>> document_starts = {};  // empty: not packed
};

struct SinkGradients {
  torch::Tensor out, packed, sink;
};

template <class Attention>
SinkGradients differentiate_with_sink(const torch::Tensor& packed, const torch::Tensor& sink,
                                      const torch::Tensor& d_out, const Attention& attention) {
  const auto input = packed.detach().clone().set_requires_grad(true);
  const auto own_sink = sink.detach().clone().set_requires_grad(true);
  const auto out = attention(input, own_sink);
  const auto gradients = torch::autograd::grad({out}, {input, own_sink}, {d_out});
  return {out.detach(), gradients[0], gradients[1]};
}

// From the definition: the sink is one more key whose score is given and whose value is zero. In
// q's own precision, softmax in float32 at least.
torch::Tensor dense_with_sink(const PackedHeads& heads, const torch::Tensor& sink,
                              const torch::Tensor& visible) {
  const auto q = heads.q(), group_of = torch::arange(q.size(2)) / (q.size(2) / heads.key_heads());
  const auto index = group_of.floor().to(torch::kInt64);
  const auto k = heads.k().index_select(2, index), v = heads.v().index_select(2, index);
  const auto type = q.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
  auto scores =
      torch::einsum("bthd,bshd->bhts", {q, k}).to(type) / std::sqrt(static_cast<double>(q.size(3)));
  scores = scores.masked_fill(visible.logical_not().unsqueeze(1),
                              -std::numeric_limits<double>::infinity());
  const auto weights = scores.exp();
  const auto total = weights.sum(-1, /*keepdim=*/true) + sink.to(type).exp().view({1, -1, 1, 1});
  return torch::einsum("bhts,bshd->bthd", {(weights / total).to(q.scalar_type()), v});
}

void check_sink(const SinkCase& c, torch::ScalarType type) {
  INFO("T " << c.length << " W " << c.window << " heads " << c.query_heads << ":" << c.key_heads
            << " D " << c.width << " type " << type);
  torch::manual_seed(c.length + c.window);
  auto starts = c.document_starts;
  PackedDocuments documents;
  if (starts.empty()) {
    starts.resize(static_cast<std::size_t>(c.batch));
  } else {
    documents = PackedDocuments::from_starts(starts, c.length);
  }
  const auto visible = visible_keys(c.length, c.window, starts);
  const auto packed =
      torch::randn({c.batch, c.length, c.query_heads + 2 * c.key_heads, c.width}, type);
  const auto sink = torch::linspace(-3.0, 4.0, c.query_heads).to(type);
  const auto d_out = torch::randn({c.batch, c.length, c.query_heads, c.width}, type);

  const auto by_definition = [&](const torch::Tensor& input, const torch::Tensor& s) {
    return dense_with_sink({input, c.query_heads}, s, visible);
  };
  const auto exact = differentiate_with_sink(packed.to(torch::kFloat64), sink.to(torch::kFloat64),
                                             d_out.to(torch::kFloat64), by_definition);
  const auto naive = differentiate_with_sink(packed, sink, d_out, by_definition);
  const auto check_form = [&](const char* name, const auto& form) {
    INFO(name);
    const auto ours = differentiate_with_sink(packed, sink, d_out, form);
    require_as_exact_as_naive(ours.out, naive.out, exact.out);
    require_as_exact_as_naive(ours.packed, naive.packed, exact.packed);
    require_as_exact_as_naive(ours.sink, naive.sink, exact.sink);
  };
  check_form("fused", [&](const torch::Tensor& input, const torch::Tensor& s) {
    return local_attention({input, c.query_heads}, c.window, {}, documents, nullptr, s);
  });
  check_form("plain", [&](const torch::Tensor& input, const torch::Tensor& s) {
    const PackedHeads heads{input, c.query_heads};
    return plain_local_attention(heads.q(), heads.k(), heads.v(), c.window, {}, documents, s);
  });
}

TEST_CASE("local attention with sinks equals the float64 definition") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  for (const std::int64_t window : {0, 1, 15, 64, 300}) {
    check_sink({2, 65, window, 4, 2, 16}, type);
    check_sink({1, 1, window, 2, 1, 8}, type);
    check_sink({1, 130, window, 6, 6, 6}, type);
    check_sink({2, 100, window, 4, 1, 32, {{1, 2, 50, 99}, {}}}, type);
  }
}

TEST_CASE("a sink that weighs nothing leaves local attention as it is") {
  torch::manual_seed(1);
  const PackedHeads heads{torch::randn({2, 40, 6, 8}), 2};
  const auto out = local_attention(heads, 5, {}, {}, nullptr, torch::full({2}, -80.0));
  require_close(out, local_attention(heads, 5, {}, {}), 1e-6);
  const auto nothing = local_attention(heads, 5, {}, {}, nullptr, torch::full({2}, 80.0));
  require_close(nothing, torch::zeros_like(nothing), 1e-6);
}

TEST_CASE("a new token against cached keys has the same sinks") {
  torch::manual_seed(2);
  const PackedHeads heads{torch::randn({2, 9, 8, 8}), 4};
  const auto sink = torch::randn({4});
  const auto last = cached_attention(heads.q().slice(1, 8), heads.k(), heads.v(), sink);
  require_close(last, local_attention(heads, 8, {}, {}, nullptr, sink).slice(1, 8), 1e-5);
}

TEST_CASE("a saved result with sinks gives the bits of one call") {
  torch::manual_seed(3);
  const auto packed = torch::randn({2, 70, 6, 16});
  const auto d_out = torch::randn({2, 70, 2, 16});
  const auto sink = torch::randn({2});
  const auto with = [&](AttentionResult* saved) {
    return differentiate_with_sink(packed, sink, d_out, [&](const auto& input, const auto& s) {
      return local_attention({input, 2}, 9, {}, {}, saved, s);
    });
  };
  const auto once = with(nullptr);
  AttentionResult saved;
  for (int call = 0; call < 2; ++call) {
    const auto again = with(&saved);
    REQUIRE(saved.is_filled());
    REQUIRE(same_bits(again.out, once.out));
    REQUIRE(same_bits(again.packed, once.packed));
    REQUIRE(same_bits(again.sink, once.sink));
  }
}

}  // namespace
}  // namespace zebra
