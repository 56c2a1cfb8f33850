#include "ablation/preparation.h"

#include "ablation/probed_sweeps.h"
#include "base/error.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

TEST_CASE("data that no arm can use is found before anything is written") {
  const ProbedSweeps probed;
  const auto found = [&](const Sweep& sweep) {
    Problems problems;
    check_data(sweep, problems);
    return problems.empty() ? "accepted" : join(problems.all(), "\n");
  };
  REQUIRE(found(probed.sweep("[5, 7]")) == "accepted");
  REQUIRE(found(probed.sweep("[5, 7]", ", training_loss_share: 0.5")) == "accepted");
  REQUIRE_THAT(found(probed.sweep("[5, 7]", ", training_loss_share: 1.0e-9")),
               Contains("probes.training_loss_share: 1e-09 of the loss") && Contains("1 more arm"));
  REQUIRE_FALSE(std::filesystem::exists(probed.folder / "out"));
  std::filesystem::remove_all(probed.data / "train");
  REQUIRE_THAT(found(probed.sweep("[5, 7]")), Contains("arm window_size-5_seed-1: ") &&
                                                  Contains("train: does not exist") &&
                                                  Contains("(and 1 more arm)"));
}

}  // namespace
}  // namespace zebra
