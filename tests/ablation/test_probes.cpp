#include "ablation/probes.h"

#include "ablation/base_run_folder.h"
#include "ablation/preparation.h"
#include "base/error.h"
#include "base/file.h"
#include "support/catch.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

/// A base run with data, and sweeps of it that train on probes.
struct Probed {
  Probed() { make_tiny_data(data); }

  static std::string base(const TemporaryFolder& data) {
    const auto at = data.path().string();
    return "run: {seed: 1}\n"
           "model: {hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, "
           "num_attention_heads: 4, vocab_size: 300, window_size: 7}\n"
           "data: {tokenizer: " +
           at + "/tok.model, train: [{path: " + at + "/train}], sequence_length: 48}\n" +
           "train: {max_steps: 4, global_batch_size: 4}\n";
  }
  Sweep sweep(const std::string& windows, const std::string& more = "") const {
    return folder.sweep("axes: {model.window_size: " + windows + ", run.seed: [1]}\n" +
                        "probes: {training_share: 0.5, training_sequences: 40, values: 16" + more +
                        "}\n");
  }
  std::string refusal(const Sweep& changed) const {
    Problems problems;
    for (const auto& [path, options] : training_probes(changed))
      check_training_probes(options, problems);
    return problems.empty() ? "accepted" : join(problems.all(), "\n");
  }

  TemporaryFolder data;
  BaseRunFolder folder{base(data)};
};

TEST_CASE("training probes that would change are refused with what to write to keep them") {
  const Probed probed;
  for (const auto& [path, options] : training_probes(probed.sweep("[7]")))
    write_training_probes(options);
  REQUIRE(probed.refusal(probed.sweep("[7]")) == "accepted");
  REQUIRE(probed.refusal(probed.sweep("[5, 7]")) == "accepted");
  const auto wider = probed.refusal(probed.sweep("[7, 9]"));
  REQUIRE_THAT(wider, Contains("holds training probes of other settings (compare.window: 7 -> 9)"));
  REQUIRE_THAT(wider, Contains("write `compare: {window: 7, layers: 2}` in the sweep file"));
  const auto kept = probed.folder.sweep(
      "axes: {model.window_size: [7, 9], run.seed: [1]}\ncompare: {window: 7, layers: 2}\n"
      "probes: {training_share: 0.5, training_sequences: 40, values: 16}\n");
  REQUIRE(probed.refusal(kept) == "accepted");
  REQUIRE_THAT(probed.refusal(probed.sweep("[7, 9]", ", keys: 30, tasks: [passkey, copying]")),
               Contains("`compare: {window: 7, layers: 2}` and `probes: {training_tasks: "
                        "[associative_recall,passkey,copying,variable_tracking], keys: 32}`"));
}

TEST_CASE("data that no arm can use is found before anything is written") {
  const Probed probed;
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
