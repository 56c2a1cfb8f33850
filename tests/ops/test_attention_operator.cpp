#include <torch/csrc/autograd/autograd.h>

#include "ops/attention_operator.h"

#include "ops/attention.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// Parity with the definition is tested through zebra::local_attention (test_attention.cpp), and for
// the same kernels from Python (tests/zebra_attention).

RotaryFactors tables(std::int64_t length, std::int64_t half) {
  const auto angle = torch::rand({length, half}) * 6.0;
  return {angle.cos(), angle.sin()};
}

torch::Tensor packed_attention(const torch::Tensor& qkv, std::int64_t query_heads,
                               std::int64_t window, const RotaryFactors& rotary = {}) {
  return fused_attention(
      {.q = qkv, .query_heads = query_heads, .window = window, .rotary = rotary});
}

torch::Tensor separate_attention(const torch::Tensor& q, const torch::Tensor& k,
                                 const torch::Tensor& v, std::int64_t window,
                                 const RotaryFactors& rotary = {},
                                 const torch::Tensor& first_token = {}) {
  return fused_attention(
      {.q = q, .k = k, .v = v, .window = window, .rotary = rotary, .first_token = first_token});
}

TEST_CASE("separate and packed operators give the same bits, in place or from a copy") {
  torch::manual_seed(3);
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const auto rotary = tables(50, 8);
  const auto gradient = torch::randn({2, 50, 4, 16}, type);
  const auto packed = torch::randn({2, 50, 8, 16}, type);

  const auto whole = packed.clone().set_requires_grad(true);
  const auto out = packed_attention(whole, 4, 9, rotary);
  const auto d_packed = torch::autograd::grad({out}, {whole}, {gradient})[0];

  // Rows with gaps between their elements, which no kernel reads in place.
  const auto apart = [](const torch::Tensor& x) {
    return torch::stack({x, x}, -1).select(-1, 0).detach().set_requires_grad(true);
  };
  const PackedHeads heads{packed, 4};
  for (const bool in_place : {true, false}) {
    const auto part = [&](const torch::Tensor& x) {
      return in_place ? x.detach().set_requires_grad(true) : apart(x);
    };
    const auto q = part(heads.q()), k = part(heads.k()), v = part(heads.v());
    const auto separate = separate_attention(q, k, v, 9, rotary);
    REQUIRE(same_bits(separate, out));
    const auto d = torch::autograd::grad({separate}, {q, k, v},
                                         {in_place ? gradient : apart(gradient).detach()});
    REQUIRE(same_bits(torch::cat({d[0], d[1], d[2]}, 2), d_packed));
  }
}

TEST_CASE("the operators need no gradient and work in inference mode") {
  const auto packed = torch::randn({1, 20, 6, 8});
  const auto out = packed_attention(packed, 2, 5);
  REQUIRE_FALSE(out.requires_grad());
  const c10::InferenceMode guard;
  REQUIRE(same_bits(packed_attention(packed, 2, 5), out));
}

TEST_CASE("the operators know their shapes without data") {
  const auto packed =
      torch::empty({2, 30, 6, 8}, torch::device(torch::kMeta).dtype(torch::kBFloat16))
          .set_requires_grad(true);
  const auto out = packed_attention(packed, 2, 5);
  REQUIRE(out.sizes() == at::IntArrayRef({2, 30, 2, 8}));
  REQUIRE(out.scalar_type() == torch::kBFloat16);
  const auto gradient = torch::autograd::grad({out}, {packed}, {torch::empty_like(out)})[0];
  REQUIRE(gradient.sizes() == packed.sizes());
}

TEST_CASE("the operators refuse arguments that do not fit") {
  const auto q = torch::randn({1, 6, 4, 8}), k = torch::randn({1, 6, 2, 8});
  const auto cos = torch::ones({6, 4}), sin = torch::zeros({6, 4});
  const auto refuse = [](const auto& call, const char* what) {
    try {
      call();
      FAIL("accepted: " << what);
    } catch (const c10::Error& error) {
      REQUIRE(std::string(error.what_without_backtrace()).find(what) != std::string::npos);
    }
  };
  const auto call = [&](const torch::Tensor& a, const torch::Tensor& b, std::int64_t window,
                        const torch::Tensor& c, const torch::Tensor& s,
                        const torch::Tensor& first) {
    return [=] { separate_attention(a, b, b, window, {c, s}, first); };
  };
  refuse(call(q, k.slice(1, 1), 3, {}, {}, {}), "must agree in B, T and D");
  refuse(call(q.slice(2, 1), k, 3, {}, {}, {}), "multiple of the key heads");
  refuse(call(q, k.to(torch::kBFloat16), 3, {}, {}, {}), "all float32 or all bfloat16");
  refuse(call(q.to(torch::kFloat64), k.to(torch::kFloat64), 3, {}, {}, {}), "all float32");
  refuse(call(q, k, -1, {}, {}, {}), "cannot be negative");
  refuse(call(q, k, 3, cos, {}, {}), "given together");
  refuse(call(q, k, 3, cos.slice(0, 1), sin.slice(0, 1), {}), "[T, D / 2]");
  refuse(call(q, k, 3, cos, sin, torch::zeros({1, 6})), "int64 [B, T]");
  refuse([&] { packed_attention(q, 3, 3); }, "Hq + 2 Hkv");
}

}  // namespace
}  // namespace zebra
