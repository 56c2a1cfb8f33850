#include <torch/csrc/autograd/autograd.h>

#include "ops/fused_kernels.h"

#include "model/sequence_context.h"
#include "ops/attention_inputs.h"
#include "ops/linear.h"
#include "ops/rms_norm.h"
#include "ops/vocabulary.h"
#include "support/gpu.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Tensors = std::vector<torch::Tensor>;
using TensorOperation = std::function<Tensors(const Tensors&)>;

// Results and the gradients of the floating-point inputs, for gradients that are made from the
// results' sizes.
Tensors results_and_gradients(const TensorOperation& operation, const Tensors& inputs,
                              torch::Device device) {
  Tensors on_device, leaves;
  for (const auto& input : inputs) {
    auto copy = input.detach().to(device);
    if (copy.is_floating_point()) leaves.push_back(copy.set_requires_grad(true));
    on_device.push_back(copy);
  }
  const auto results = operation(on_device);
  Tensors gradients;
  for (const auto& result : results) {
    gradients.push_back(torch::sin(torch::arange(result.numel(), torch::kFloat32))
                            .view(result.sizes())
                            .to(result.options()));
  }
  auto all = torch::autograd::grad(results, leaves, gradients);
  for (const auto& result : results) all.push_back(result.detach());
  for (auto& tensor : all) tensor = tensor.to(torch::kCPU);
  return all;
}

TEST_CASE("the fused kernels of a GPU give what those of the CPU give", "[.][cuda]") {
  require_gpu();
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  torch::manual_seed(1);
  const auto values = [&](at::IntArrayRef sizes) { return torch::randn(sizes).to(type); };
  ModelConfig model;
  model.head_dim = 64;
  const auto frequencies = rotary_frequencies(model, LayerKind::global, 33);
  struct Case {
    const char* name;
    TensorOperation operation;
    Tensors inputs;
  };
  const std::vector<Case> cases = {
      {"norm",
       [](const Tensors& in) -> Tensors {
         const auto both = residual_rms_norm(in[0], in[1], in[2], 1e-5);
         return {both.sum, both.normed};
       },
       {values({3, 33, 320}), values({3, 33, 320}), values({320})}},
      {"swiglu",
       [](const Tensors& in) -> Tensors { return {swiglu_linear(in[0], in[1])}; },
       {values({3, 33, 352}), values({40, 176})}},
      {"loss",
       [](const Tensors& in) -> Tensors {
         return {linear_cross_entropy(in[0], in[1], in[2], 1e-3).objective};
       },
       {values({99, 64}), values({500, 64}), torch::randint(500, {99}, torch::kInt64)}},
      {"embedding",
       [](const Tensors& in) -> Tensors { return {token_embedding(in[0], in[1])}; },
       {torch::randint(20, {3, 400}, torch::kInt64), values({20, 64})}},
      {"rotary",
       [&](const Tensors& in) -> Tensors {
         const auto positions = torch::arange(33, torch::kInt64);
         auto factors = rotary_factors(frequencies, positions);
         factors = {factors.cos.to(in[0].device()), factors.sin.to(in[0].device())};
         const auto [q, k, v] = packed_rotary({in[0], 4}, factors);
         return {q, k, v};
       },
       {values({3, 33, 8, 64})}}};
  const double unit = type == torch::kFloat32 ? 1e-6 : 0x1.0p-8;
  for (const auto& [name, operation, inputs] : cases) {
    const auto expected = results_and_gradients(operation, inputs, torch::kCPU),
               actual = results_and_gradients(operation, inputs, torch::kCUDA);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO(name << ", result " << i);
      REQUIRE(actual[i].scalar_type() == expected[i].scalar_type());
      require_close(actual[i], expected[i],
                    8.0 * unit * (1.0 + expected[i].abs().max().item<double>()));
    }
  }
}

TEST_CASE("types that the fused kernels do not have are refused") {
  REQUIRE_THROWS_AS(element_type(torch::ones({2}, torch::kFloat64)), c10::Error);
  REQUIRE(element_type(torch::ones({2})) == kernels::ElementType::kFloat32);
  REQUIRE(element_type(torch::ones({2}, torch::kBFloat16)) == kernels::ElementType::kBfloat16);
}

}  // namespace
}  // namespace zebra
