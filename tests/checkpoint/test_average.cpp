#include "checkpoint/average.h"

#include "base/error.h"
#include "checkpoint/folder.h"
#include "support/catch.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

/// Two checkpoints of a run, whose weights are one tensor of given values.
struct Origins {
  TemporaryFolder folder;
  std::vector<std::filesystem::path> paths;

  explicit Origins(const std::vector<torch::Tensor>& weights) {
    make_tiny_data(folder);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const auto step = static_cast<std::int64_t>(i + 1);
      paths.push_back(checkpoint_folder(folder / "run", step));
      TextCollectives alone(nullptr, 0, 1);
      std::filesystem::create_directories(paths.back().parent_path());
      write_checkpoint(
          paths.back(),
          {.step = step,
           .config = tiny_run(folder, {}),
           .tokenizer = read_tokenizer_files(folder / "tok.model"),
           .training = {{"step", step}},
           .groups = {{"weights", {{{"t", weights[i].sizes().vec()}, 0, weights[i].flatten()}}}}},
          alone);
    }
  }
};

TEST_CASE("a mean is summed in float64 and rounded once") {
  // In float32 the sum of the first two would lose the third's last bits.
  const float large = 16777216.0F;
  const Origins origins({torch::tensor({{large, 1.0F}}), torch::tensor({{1.0F, 2.0F}}),
                         torch::tensor({{1.0F, 0.0F}})});
  const auto average = plan_average(origins.paths, origins.folder / "mean");
  CHECK(average.step == 3);
  write_average(average);
  Checkpoint mean(origins.folder / "mean");
  const auto values = torch::empty({2}, torch::kFloat32);
  mean.read("weights", {"t", {1, 2}}, 0, values);
  CHECK(values[0].item<float>() == static_cast<float>((16777216.0 + 2.0) / 3.0));
  CHECK(values[1].item<float>() == 1.0F);
  CHECK(mean.config().run.dir == tiny_run(origins.folder, {}).run.dir);
  CHECK(mean.tokenizer_path().parent_path() == origins.folder / "mean");
}

TEST_CASE("the newest checkpoints of a run come in the order of their steps") {
  const Origins origins({torch::zeros({1}), torch::zeros({1}), torch::zeros({1})});
  CHECK(newest_checkpoints(origins.folder / "run", 2) ==
        std::vector{origins.paths[1], origins.paths[2]});
  CHECK_THROWS_WITH(newest_checkpoints(origins.folder / "run", 4),
                    Contains("has 3 whole checkpoints"));
}

TEST_CASE("tensors of another shape are refused") {
  const Origins origins({torch::zeros({2, 3}), torch::zeros({3, 2})});
  CHECK_THROWS_WITH(plan_average(origins.paths, origins.folder / "mean"),
                    Contains("step-00000001: holds other tensors than the last one"));
}

}  // namespace
}  // namespace zebra
