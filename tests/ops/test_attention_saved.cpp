#include <torch/csrc/autograd/autograd.h>

#include "ops/attention_operator.h"

#include <ATen/record_function.h>

#include <algorithm>
#include <limits>
#include <mutex>

#include "ops/attention.h"
#include "support/attention_gradients.h"
#include "support/gpu.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct SavedCase {
  std::int64_t batch, length, query_heads, key_heads, width;
  bool rotate = false;
  std::vector<std::vector<std::int64_t>> document_starts = {};  // empty: not packed
};

struct Inputs {
  Inputs(const SavedCase& c, torch::ScalarType type, torch::Device device = torch::kCPU)
      : query_heads(c.query_heads) {
    torch::manual_seed(c.length);
    packed = torch::randn({c.batch, c.length, c.query_heads + 2 * c.key_heads, c.width})
                 .to(device, type);
    d_out = torch::randn({c.batch, c.length, c.query_heads, c.width}).to(device, type);
    if (c.rotate) {
      const auto angle = (torch::rand({c.length, c.width / 2}) * 6.0).to(device);
      rotary = {angle.cos(), angle.sin()};
    }
    if (!c.document_starts.empty()) {
      documents = PackedDocuments::from_starts(c.document_starts, c.length).to(device);
    }
  }

  std::int64_t query_heads;
  torch::Tensor packed, d_out;
  RotaryFactors rotary;
  PackedDocuments documents;
};

// The kinds of attention that can keep a result.
using Attention = torch::Tensor (*)(const PackedHeads&, const Inputs&, AttentionResult*);

template <std::int64_t window>
torch::Tensor local(const PackedHeads& heads, const Inputs& in, AttentionResult* saved) {
  return local_attention(heads, window, in.rotary, in.documents, saved);
}
torch::Tensor global(const PackedHeads& heads, const Inputs& in, AttentionResult* saved) {
  return global_attention(heads, in.rotary, in.documents, saved);
}
torch::Tensor plain_global(const PackedHeads& heads, const Inputs& in, AttentionResult* saved) {
  return plain_global_attention(heads.q(), heads.k(), heads.v(), in.rotary, in.documents, saved);
}

// As a recomputed layer does it, every call has a projection of its own.
AttentionGradients differentiate(Attention attention, const Inputs& in,
                                 AttentionResult* saved = nullptr) {
  return attention_gradients(in.packed, in.query_heads, in.d_out,
                             [&](const PackedHeads& heads) { return attention(heads, in, saved); });
}

torch::Tensor first_call(Attention attention, const Inputs& in, AttentionResult& saved) {
  const torch::NoGradGuard no_grad;
  return attention({in.packed.clone(), in.query_heads}, in, &saved);
}

void check_second_call(Attention attention, const Inputs& in) {
  const auto once = differentiate(attention, in);
  AttentionResult saved;
  REQUIRE(same_bits(first_call(attention, in, saved), once.out));
  REQUIRE(saved.is_filled());
  REQUIRE_FALSE(saved.out.requires_grad());
  const auto again = differentiate(attention, in, &saved);
  REQUIRE(same_bits(again.out, once.out));
  REQUIRE(same_bits(again.packed, once.packed));
  REQUIRE_FALSE(saved.out.requires_grad());
}

TEST_CASE("a second call with the saved result gives the bits of one call") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const Attention attention =
      GENERATE(Attention(local<0>), local<5>, local<64>, local<1000>, global, plain_global);
  for (const SavedCase& c :
       {SavedCase{2, 65, 4, 4, 16}, SavedCase{1, 1, 2, 1, 8},
        SavedCase{2, 130, 8, 2, 32, /*rotate=*/true}, SavedCase{1, 77, 4, 1, 6, /*rotate=*/true},
        SavedCase{2, 100, 4, 2, 16, /*rotate=*/true, {{1, 2, 3, 50, 99}, {}}},
        SavedCase{3, 33, 2, 2, 8, /*rotate=*/false, {{}, {31}, {16, 32}}}}) {
    INFO("T " << c.length << " heads " << c.query_heads << ":" << c.key_heads << " type " << type);
    check_second_call(attention, Inputs(c, type));
  }
}

// The names of the operators that the dispatcher runs during `f`.
template <class F>
std::vector<std::string> operators_of(const F& f) {
  static std::vector<std::string> names;
  static std::mutex mutex;  // some run in threads of LibTorch's
  names.clear();
  const auto handle =
      at::addGlobalCallback(at::RecordFunctionCallback([](const at::RecordFunction& call) {
                              const std::lock_guard lock(mutex);
                              names.emplace_back(call.name());
                              return std::unique_ptr<at::ObserverContext>();
                            }).scopes({at::RecordScope::FUNCTION}));
  f();
  at::removeCallback(handle);
  return names;
}

TEST_CASE("a second call with the saved result computes no attention") {
  struct Names {
    Attention attention;
    std::string forward, backward;
  };
  const std::string ours = "zebra::packed_local_attention_",
                    torchs = "aten::_scaled_dot_product_flash_attention_for_cpu";
  const Inputs in({2, 40, 4, 2, 16, /*rotate=*/true, {{7}, {20, 30}}}, torch::kFloat32);
  for (const auto& [attention, forward, backward] :
       {Names{local<5>, ours + "forward", ours + "backward"},
        Names{global, ours + "forward", ours + "backward"},
        Names{plain_global, torchs, torchs + "_backward"}}) {
    const auto count = [](const std::vector<std::string>& all, const std::string& name) {
      return std::count(all.begin(), all.end(), name);
    };
    AttentionResult saved;
    const auto first = operators_of([&] { first_call(attention, in, saved); });
    const auto second = operators_of([&] { differentiate(attention, in, &saved); });
    const auto calls = attention == plain_global ? 5 : 1;  // one for each document, or for all
    INFO(forward);
    REQUIRE(count(first, forward) == calls);
    REQUIRE(count(first, backward) == 0);
    REQUIRE(count(second, forward) == 0);
    REQUIRE(count(second, backward) == calls);
  }
}

TEST_CASE("a second call returns and differentiates what was saved") {
  const Attention attention = GENERATE(Attention(local<5>), global, plain_global);
  const Inputs in({2, 40, 4, 2, 16, /*rotate=*/true, {{7}, {20, 30}}}, torch::kFloat32);
  const auto once = differentiate(attention, in);
  AttentionResult saved;
  first_call(attention, in, saved);
  const auto is_finite = [](const torch::Tensor& x) { return x.isfinite().all().item<bool>(); };

  auto other_output = saved;
  other_output.out = torch::full_like(saved.out, 3.0);
  const auto of_other_output = differentiate(attention, in, &other_output);
  REQUIRE(same_bits(of_other_output.out, other_output.out));
  REQUIRE(is_finite(of_other_output.packed));
  REQUIRE_FALSE(same_bits(of_other_output.packed, once.packed));

  auto other_sum = saved;
  other_sum.log_sum_exp =
      torch::full_like(saved.log_sum_exp, std::numeric_limits<float>::quiet_NaN());
  const auto of_other_sum = differentiate(attention, in, &other_sum);
  REQUIRE(same_bits(of_other_sum.out, once.out));
  REQUIRE_FALSE(is_finite(of_other_sum.packed));
}

TEST_CASE("a first call that records a gradient keeps its result too") {
  const Attention attention = GENERATE(Attention(local<5>), global, plain_global);
  const Inputs in({1, 30, 4, 2, 8, /*rotate=*/true, {}}, torch::kFloat32);
  AttentionResult saved;
  const auto first = differentiate(attention, in, &saved);
  REQUIRE_FALSE(saved.out.requires_grad());
  const auto again = differentiate(attention, in, &saved);
  REQUIRE(same_bits(again.out, first.out));
  REQUIRE(same_bits(again.packed, first.packed));
}

void check_computed_again(Attention attention, const Inputs& in) {
  const auto once = differentiate(attention, in);
  AttentionResult saved;
  REQUIRE(same_bits(first_call(attention, in, saved), once.out));
  REQUIRE_FALSE(saved.is_filled());
  const auto again = differentiate(attention, in, &saved);
  REQUIRE(same_bits(again.out, once.out));
  REQUIRE(same_bits(again.packed, once.packed));
}

TEST_CASE("without a kernel that leaves a result nothing is saved") {
  check_computed_again(local<5>, Inputs({1, 30, 4, 2, 7}, torch::kFloat32));
  check_computed_again(local<5>, Inputs({1, 30, 4, 2, 8}, torch::kFloat64));
  const struct WithoutFlash {
    WithoutFlash() { at::globalContext().setSDPUseFlash(false); }
    ~WithoutFlash() { at::globalContext().setSDPUseFlash(true); }
  } guard;
  check_computed_again(plain_global, Inputs({1, 30, 4, 2, 8}, torch::kFloat32));
}

TEST_CASE("a saved result of another shape is refused") {
  const Inputs in({1, 30, 4, 2, 8}, torch::kFloat32);
  AttentionResult saved;
  first_call(local<5>, in, saved);
  saved.out = saved.out.slice(1, 1);
  REQUIRE_THROWS_AS(first_call(local<5>, in, saved), c10::Error);
}

// On CUDA global attention is ours for documents and where it must be deterministic; the plain form
// is FlashAttention there, or for whole sequences cuDNN's where that is there and results may
// differ in the last bits. Run by scripts/gpu/run.sh.
TEST_CASE("global attention on CUDA keeps its result", "[.cuda]") {
  require_gpu();
  const Attention attention = GENERATE(Attention(global), plain_global);
  for (const auto& starts : std::vector<std::vector<std::vector<std::int64_t>>>{
           {}, {{7}, {20, 100}}, {{1, 2, 299}, {}}}) {
    INFO("packed " << !starts.empty());
    const Inputs in({2, 300, 8, 2, 64, /*rotate=*/true, starts}, torch::kBFloat16, torch::kCUDA);
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
    check_second_call(attention, in);
    const auto ours = differentiate(global, in);
    at::globalContext().setDeterministicAlgorithms(false, /*warn_only=*/false);
    AttentionResult saved;
    first_call(attention, in, saved);
    REQUIRE(saved.is_filled());
    const auto again = differentiate(attention, in, &saved);
    require_close(again.out, ours.out, 0.02);
    require_close(again.packed, ours.packed, 0.05);
  }
}

}  // namespace
}  // namespace zebra
