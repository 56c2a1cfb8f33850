#include "optim/update_decision.h"

#include <cmath>
#include <limits>

#include "optim/skip_rule.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

torch::Tensor scalar(double value) { return torch::full({}, value, torch::kFloat64); }

TEST_CASE("clipping scales to the limit, and only above it") {
  REQUIRE(clip_scale(10.0, 20.0) == 1.0);
  REQUIRE(clip_scale(10.0, 0.0) == 1.0);
  REQUIRE(clip_scale(10.0, 1.0) == 0.1);
  REQUIRE(clip_scale(0.0, 1.0) == 1.0);
}

TEST_CASE("the device decides as the host would") {
  const double skip_above = GENERATE(0.0, 2.5), limit = GENERATE(0.0, 1.0);
  SkipRule rule(skip_above);
  for (int i = 0; i < 40; ++i) rule.skips(2.0, 1.0 + 0.01 * i);
  for (const double loss : {2.0, std::nan(""), kInfinity}) {
    for (const double norm : {0.0, 0.5, 1.0, 2.9, 3.1, 1e30, std::nan(""), kInfinity}) {
      INFO("loss " << loss << ", norm " << norm);
      const auto decision = update_decision(scalar(loss), scalar(norm), rule.largest_norm(), limit);
      REQUIRE(decision.scalar_type() == torch::kFloat32);
      SkipRule copy(skip_above);
      copy.set_state(rule.state());
      const bool skips = copy.skips(loss, norm);
      REQUIRE(decision[1].item<float>() == (skips ? 0.0F : 1.0F));
      if (skips) continue;
      REQUIRE(decision[0].item<float>() == static_cast<float>(clip_scale(norm, limit)));
    }
  }
}

}  // namespace
}  // namespace zebra
