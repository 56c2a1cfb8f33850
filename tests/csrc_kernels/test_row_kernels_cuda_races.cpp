// For the build with -fsanitize=thread, where `launch` throws on a data race. The reports that it
// prints about deliberate faults are expected.

#include "csrc_kernels/row_cases_cuda.h"
#include "emulation/kernel_support.h"
#include "support/catch.h"
#include "zebra_kernels/row_kernels_cuda.h"

namespace zebra::kernels::testing {
namespace {

using Work = std::function<void(ElementType)>;

// Few enough rows for a sanitizer that is forty times slower, in place where that is allowed.

/// Of several warps.
void norm(ElementType type) {
  constexpr std::int64_t kRows = 3, kWidth = 1100;
  DeviceArray x(type, random_values(kRows * kWidth, type, 1)),
      added(type, random_values(kRows * kWidth, type, 1)),
      weight(type, random_values(kWidth, type, 1)), out(type, kRows * kWidth),
      inverse_rms(ElementType::kFloat32, kRows);
  cuda::rms_norm_forward({{kRows, kWidth, type},
                          x.data(),
                          added.data(),
                          weight.data(),
                          1e-5F,
                          x.data(),
                          out.data(),
                          inverse_rms.floats()},
                         nullptr);
}

/// Of one warp: a thousand threads add the partial sums of 32 columns.
void norm_gradient(ElementType type) {
  constexpr std::int64_t kRows = 9, kWidth = 40;
  DeviceArray sum(type, random_values(kRows * kWidth, type, 1)),
      weight(type, random_values(kWidth, type, 1)),
      d_out(type, random_values(kRows * kWidth, type, 1)),
      d_sum(type, random_values(kRows * kWidth, type, 1)),
      inverse_rms(ElementType::kFloat32, Values(kRows, 1.0)),
      d_weight(ElementType::kFloat32, kWidth);
  const RmsNormShape shape{kRows, kWidth, type};
  DeviceArray workspace(
      ElementType::kFloat32,
      static_cast<std::int64_t>(cuda::rms_norm_backward_workspace_bytes(shape) / 4));
  cuda::rms_norm_backward({shape, sum.data(), weight.data(), inverse_rms.floats(), d_out.data(),
                           d_sum.data(), d_sum.data(), d_weight.floats(), workspace.data()},
                          nullptr);
}

void swiglu(ElementType type) {
  constexpr std::int64_t kRows = 2, kWidth = 300;
  DeviceArray gate_up(type, random_values(2 * kRows * kWidth, type, 1)),
      d_out(type, random_values(kRows * kWidth, type, 1)), out(type, kRows * kWidth);
  const SwigluShape shape{kRows, kWidth, type};
  cuda::swiglu_forward({shape, gate_up.data(), out.data()}, nullptr);
  cuda::swiglu_backward({shape, gate_up.data(), d_out.data(), gate_up.data(), d_out.data()},
                        nullptr);
}

void loss(ElementType type) {
  for (const std::int64_t vocabulary : {100, 3000}) {
    const std::int64_t targets[] = {vocabulary - 1, 5, kNoTarget};
    DeviceArray logits(type, random_values(3 * vocabulary, type, 1)),
        values(ElementType::kFloat32, 3), log_sum_exp(ElementType::kFloat32, 3);
    cuda::cross_entropy({3, vocabulary, type, logits.data(), targets, 1e-3F, values.floats(),
                         log_sum_exp.floats(), logits.data()},
                        nullptr);
  }
}

void rotary(ElementType type) {
  DeviceArray x(type, random_values(3 * 4 * 64, type, 1)),
      table(ElementType::kFloat32, random_values(3 * 32, ElementType::kFloat32, 1));
  cuda::rotary({1,
                3,
                4,
                64,
                type,
                {x.data(), 768, 256, 64},
                {x.data(), 768, 256, 64},
                {table.floats(), table.floats(), 0, 32},
                false},
               nullptr);
}

void adamw(ElementType) {
  constexpr std::int64_t kSize = 2100;
  const Values values = random_values(kSize, ElementType::kFloat32, 1);
  DeviceArray gradients(ElementType::kFloat32, values), weights(ElementType::kFloat32, values),
      first(ElementType::kFloat32, values), second(ElementType::kFloat32, Values(kSize, 0.5)),
      rounded_weights(ElementType::kBfloat16, kSize);
  const AdamwStep step;
  cuda::adamw_update(
      {kSize, 100, gradients.floats(), weights.floats(), first.floats(), second.floats(),
       rounded_weights.data(), 1e-3F, 0.9F, 0.95F, 1e-8F, 0.1F, &step},
      nullptr);
}

void embedding(ElementType type) {
  constexpr std::int64_t kRows = 80, kWidth = 40;
  std::vector<std::int64_t> tokens(kRows, 2), order;
  for (std::int64_t i = 0; i < kRows; ++i) order.push_back(kRows - 1 - i);
  tokens[0] = tokens[1] = 0;
  DeviceArray d_out(type, random_values(kRows * kWidth, type, 1)),
      d_weight(ElementType::kFloat32, random_values(3 * kWidth, ElementType::kFloat32, 1));
  cuda::embedding_backward(
      {kRows, kWidth, 3, type, tokens.data(), order.data(), d_out.data(), d_weight.floats()},
      nullptr);
}

/// What a launch throws; empty if nothing.
std::string error_of_work(const Work& work, ElementType type, const Conditions&) {
  try {
    work(type);
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("CUDA row kernels have no data race") {
  const Work all[] = {norm, norm_gradient, swiglu, loss, rotary, adamw, embedding};
  for (const auto type : kTypes)
    for (const std::uint64_t seed : {0, 1, 2})
      for (std::size_t i = 0; i < std::size(all); ++i) {
        INFO("kernel " << i << " type " << static_cast<int>(type) << " seed " << seed);
        CHECK(error_of_work(all[i], type, Conditions({seed})) == "");
      }
}

/// How many calls of the primitive there are in the source that `work` runs, and at which of them
/// a fault goes unnoticed.
std::pair<int, std::vector<int>> sites_of(Fault::Kind kind, const Work& work) {
  std::vector<int> unnoticed;
  for (int site = 0;; ++site) {
    emulation::take_counts();
    const auto error =
        error_of_work(work, ElementType::kFloat32, Conditions({0}, Fault{kind, site}));
    if (emulation::take_counts().faults == 0) return {site, unnoticed};
    if (error.empty()) unnoticed.push_back(site);
  }
}

TEST_CASE("every barrier of the CUDA row kernels is needed, and missed when it is gone") {
  const std::vector<int> none;
  CHECK(sites_of(Fault::Kind::kSkipBlockBarrier, norm) == std::pair(1, none));
  CHECK(sites_of(Fault::Kind::kSkipBlockBarrier, norm_gradient) == std::pair(1, none));
  CHECK(sites_of(Fault::Kind::kSkipBlockBarrier, loss) == std::pair(1, none));
  CHECK(sites_of(Fault::Kind::kSkipBlockBarrier, embedding) == std::pair(1, none));
  CHECK(sites_of(Fault::Kind::kSkipWarpBarrier, loss) == std::pair(1, none));
}

}  // namespace
}  // namespace zebra::kernels::testing
