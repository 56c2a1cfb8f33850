#include "ablation/probes.h"

#include "ablation/probed_sweeps.h"
#include "base/error.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

std::string refusal(const Sweep& changed) {
  Problems problems;
  for (const auto& [path, options] : training_probes(changed))
    check_training_probes(options, problems);
  return problems.empty() ? "accepted" : join(problems.all(), "\n");
}

TEST_CASE("training probes that would change are refused with what to write to keep them") {
  const ProbedSweeps probed;
  for (const auto& [path, options] : training_probes(probed.sweep("[7]")))
    write_training_probes(options);
  REQUIRE(refusal(probed.sweep("[7]")) == "accepted");
  REQUIRE(refusal(probed.sweep("[5, 7]")) == "accepted");
  const auto wider = refusal(probed.sweep("[7, 9]"));
  REQUIRE_THAT(wider,
               Contains("holds training probes of other settings (training_bands: {window: 7, "
                        "layers: 2} -> training_bands: {window: 9, layers: 2})"));
  REQUIRE_THAT(wider, Contains("write `probes: {training_bands: {window: 7, layers: 2}}` in the "
                               "sweep file"));
  const auto kept = probed.folder.sweep(
      "axes: {model.window_size: [7, 9], run.seed: [1]}\n"
      "probes: {training_bands: {window: 7}, training_share: 0.5, training_sequences: 40, values: "
      "16}\n");
  REQUIRE(refusal(kept) == "accepted");
  REQUIRE(kept.bands.window == 9);
  REQUIRE_THAT(refusal(probed.sweep("[7, 9]", ", keys: 30, tasks: [passkey, copying]")),
               Contains("`probes: {training_bands: {window: 7, layers: 2}, training_tasks: "
                        "[associative_recall,passkey,copying,variable_tracking], keys: 32}`"));
}

}  // namespace
}  // namespace zebra
