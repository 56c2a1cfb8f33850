#include "ablation/fit.h"

#include "ablation/base_run_folder.h"
#include "base/system.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

std::string refusal(const std::vector<Arm>& arms, int jobs) {
  try {
    check_fit(arms, jobs);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

// Arms on the CPU whose weights, gradients and moments alone take this share of its memory: 16
// bytes for each of the 2 x 48 parameters of a piece of the vocabulary.
std::vector<Arm> arms_of_size(double share_of_memory) {
  const BaseRunFolder folder;
  auto arms = folder.arms("axes: {run.device: [cpu], run.seed: [1, 2, 3]}\n");
  const double pieces = share_of_memory * static_cast<double>(memory_of_machine()) / (16 * 2 * 48);
  for (auto& arm : arms) arm.config.model.vocab_size = static_cast<std::int64_t>(pieces);
  return arms;
}

TEST_CASE("every arm that cannot fit is named, one that can is not") {
  auto arms = arms_of_size(1.01);
  arms[1] = arms_of_size(0.01)[1];
  const auto message = refusal(arms, 1);
  INFO(message);
  REQUIRE(message.find("arm " + arms[0].name + ": training takes some") != std::string::npos);
  REQUIRE(message.find("arm " + arms[2].name + ": training takes some") != std::string::npos);
  REQUIRE(message.find(arms[1].name) == std::string::npos);
}

TEST_CASE("arms at the same time must fit together") {
  const auto arms = arms_of_size(0.4);
  REQUIRE(refusal(arms, 1) == "accepted");
  REQUIRE(refusal(arms, 3).find("--jobs 3: the largest arms take some") != std::string::npos);
  REQUIRE(refusal(arms_of_size(0.01), 3) == "accepted");
}

}  // namespace
}  // namespace zebra
