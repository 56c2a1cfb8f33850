#include "checkpoint/average.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "checkpoint/fork.h"
#include "checkpoint/verification.h"
#include "config/load.h"
#include "support/catch.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

constexpr std::int64_t kLargeCount = (std::int64_t{1} << 22) + 7;  // more than one piece

/// A run folder whose checkpoints hold two tensors in place of a model's.
struct AveragedRun {
  TemporaryFolder folder;
  std::filesystem::path output = folder / "mean";

  Config config(const std::vector<std::string>& overrides = {}) const {
    const auto run = (folder / "run").string();
    auto config = resolve(
        parse_run_file("run: {dir: " + run +
                           "}\nmodel: {preset: zebra-tiny}\n"
                           "data: {tokenizer: tok.model, train: [{path: t}], sequence_length: 64}\n"
                           "train: {max_steps: 9, global_batch_size: 2}\n",
                       "c.yaml", overrides),
        300);
    config.model.init_from = "/gone";  // weights have long begun
    return config;
  }

  std::filesystem::path save(std::int64_t step, const std::vector<float>& small,
                             const torch::Tensor& large,
                             const std::vector<std::string>& overrides = {},
                             const std::string& tokenizer = "stands for a tokenizer") const {
    const auto at = checkpoint_folder(folder / "run", step);
    const auto count = static_cast<std::int64_t>(small.size());
    const std::vector<CheckpointTensor> tensors = {{{"small", {count}}, 0, torch::tensor(small)},
                                                   {{"large", {large.numel(), 1}}, 0, large}};
    TextCollectives alone(nullptr, 0, 1);
    write_checkpoint(at,
                     {step,
                      config(overrides),
                      {{"tokenizer.model", tokenizer}},
                      {{"step", step}, {"validation_loss", 2.5}},
                      {{"weights", tensors}, {"exp_avg", tensors}}},
                     alone);
    return at;
  }
  std::filesystem::path save(std::int64_t step, const std::vector<float>& small = {1.0f}) const {
    return save(step, small, torch::full({3}, static_cast<float>(step)));
  }

  std::string refusal(const std::vector<std::string>& paths,
                      std::optional<std::int64_t> last = {}) const {
    try {
      write_average(plan_average(paths, last, output));
    } catch (const InputError& error) {
      REQUIRE_FALSE(std::filesystem::exists(output));
      for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
        REQUIRE(entry.path().filename().string().find("partial") == std::string::npos);
      return error.what();
    }
    return "accepted";
  }
};

torch::Tensor read_whole(const std::filesystem::path& folder, const NamedTensor& tensor) {
  auto values = torch::empty({tensor.numel()});
  Checkpoint(folder).read("weights", tensor, 0, values);
  return values;
}

TEST_CASE("each weight is the mean in float64, rounded once") {
  const AveragedRun run;
  // In float32 the sums would lose what is small, and round twice.
  const std::vector<std::vector<float>> small = {{1e8f, 16777216.0f, 1.0f, -0.0f, 3e38f},
                                                 {1.0f, 1.0f, 1e-8f, -0.0f, 3e38f},
                                                 {-1e8f, 1.0f, 1e-8f, -0.0f, 3e38f}};
  std::vector<torch::Tensor> large;
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < small.size(); ++i) {
    torch::manual_seed(static_cast<std::uint64_t>(i) + 1);
    large.push_back(torch::randn({kLargeCount}));
    paths.push_back(run.save(static_cast<std::int64_t>(10 * i), small[i], large[i]).string());
  }
  std::vector<std::string> parts;
  std::uint64_t last_done = 0, last_bytes = 0;
  write_average(plan_average(paths, {}, run.output),
                [&](const std::string& part, std::uint64_t done, std::uint64_t bytes) {
                  if (parts.empty() || parts.back() != part) parts.push_back(part), last_done = 0;
                  REQUIRE(done > last_done);
                  last_done = done;
                  last_bytes = bytes;
                });
  REQUIRE(parts == std::vector<std::string>{"verifying", "averaging"});
  REQUIRE(last_done == last_bytes);
  REQUIRE(last_bytes == 4 * (kLargeCount + 5));

  const auto means = read_whole(run.output, {"small", {5}});
  for (std::size_t i = 0; i < 5; ++i) {
    double sum = 0.0;
    for (const auto& values : small) sum += static_cast<double>(values[i]);
    const auto expected = static_cast<float>(sum / 3.0);
    INFO(i);
    REQUIRE(means[static_cast<std::int64_t>(i)].item<float>() == expected);
  }
  REQUIRE(std::signbit(means[3].item<float>()));
  const auto found = read_whole(run.output, {"large", {kLargeCount, 1}});
  const auto a = large[0].accessor<float, 1>(), b = large[1].accessor<float, 1>(),
             c = large[2].accessor<float, 1>(), mean = found.accessor<float, 1>();
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < kLargeCount; ++i) {
    const double sum =
        static_cast<double>(a[i]) + static_cast<double>(b[i]) + static_cast<double>(c[i]);
    if (!(mean[i] == static_cast<float>(sum / 3.0))) ++wrong;
  }
  REQUIRE(wrong == 0);
}

TEST_CASE("what is written is a whole checkpoint of weights alone, with the newest settings") {
  const AveragedRun run;
  // The newest need not be named last.
  const auto newest = run.save(7, {1.0f}, torch::ones({3}), {"optimizer.lr=0.5"});
  const auto older = run.save(4);
  const auto average = plan_average({newest.string(), older.string()}, {}, run.output);
  write_average(average);
  REQUIRE(checkpoint_faults(run.output).empty());
  REQUIRE(find_checkpoint(run.output.string()) == run.output);
  Checkpoint checkpoint(run.output);
  REQUIRE(checkpoint.step() == 7);
  REQUIRE(checkpoint.training() ==
          nlohmann::ordered_json({{"averaged_from",
                                   {{{"checkpoint", newest.string()}, {"step", 7}},
                                    {{"checkpoint", older.string()}, {"step", 4}}}},
                                  {"step", 7}}));
  const auto config = checkpoint.config();
  REQUIRE(config.optimizer.lr == 0.5);
  REQUIRE(config.run.dir == run.output);
  REQUIRE(config.model.init_from.empty());
  REQUIRE(config.data.tokenizer == run.output / "tokenizer.model");
  REQUIRE(read_file(config.data.tokenizer) == "stands for a tokenizer");
  REQUIRE_THROWS_WITH(plan_fork(run.output, {run.folder / "fork", "", {}}),
                      Contains("no training state") && Contains("model.init_from"));
  REQUIRE_THAT(average_text(average), Contains(newest.string()) && Contains("zebra eval "));
}

TEST_CASE("equal checkpoints have themselves as their mean, whatever their number") {
  const AveragedRun run;
  const std::vector<float> values = {0.1f, -3e-39f, 1.17549435e-38f, 3.4028235e38f, 16777217.0f};
  for (const std::int64_t step : {1, 2, 3, 4, 5, 6, 7})
    run.save(step, values, torch::full({3}, 0.3f));
  const auto last = GENERATE(as<std::int64_t>{}, 2, 3, 7);
  const auto average = plan_average({(run.folder / "run").string()}, last, run.output);
  REQUIRE(std::cmp_equal(average.checkpoints.size(), last));
  REQUIRE(average.checkpoints.front() == checkpoint_folder(run.folder / "run", 8 - last));
  REQUIRE(average.checkpoints.back() == checkpoint_folder(run.folder / "run", 7));
  write_average(average);
  REQUIRE(same_bits(read_whole(run.output, {"small", {5}}), torch::tensor(values)));
  REQUIRE(same_bits(read_whole(run.output, {"large", {3, 1}}), torch::full({3}, 0.3f)));
}

TEST_CASE("checkpoints of other models are refused, with what differs") {
  const AveragedRun run;
  const auto one = torch::ones({3});
  const auto newest = run.save(9, {1.0f}, one).string();
  const auto narrow = run.save(5, {1.0f}, one, {"model.window_size=5"}).string();
  const auto theta = run.save(6, {1.0f}, one, {"model.rope_theta=5e5"}).string();
  const auto other = run.save(7, {1.0f}, one, {}, "another").string();
  // What does not change what the weights compute may differ.
  const auto same =
      run.save(8, {1.0f}, one,
               {"model.initializer_range=0.5", "optimizer.lr=1", "train.precision=bf16"})
          .string();
  const auto message = run.refusal({newest, narrow, theta, other, same});
  REQUIRE_THAT(message, Contains(narrow + ": is of another model than " + newest +
                                 ": model.window_size: 64 -> 5"));
  REQUIRE_THAT(message,
               Contains(theta + ": is of another model") && Contains("model.rope_theta: "));
  REQUIRE_THAT(message, Contains(other + ": is of another tokenizer than " + newest));
  REQUIRE(message.find(same + ":") == std::string::npos);
  REQUIRE(run.refusal({newest, same}) == "accepted");
}

TEST_CASE("what has no mean, and places where it must not stand, are refused") {
  const AveragedRun run;
  const auto first = run.save(1).string(), second = run.save(2).string();
  const auto of_run = (run.folder / "run").string();
  REQUIRE_THAT(run.refusal({first}), Contains("is one checkpoint") && Contains("--last N"));
  REQUIRE_THAT(run.refusal({first, of_run + "@1", second}),
               Contains(of_run + "@1: means the same checkpoint as another, " + first));
  REQUIRE_THAT(run.refusal({first, of_run + "@3", "nowhere"}),
               Contains("run@3: no whole checkpoint of that step") && Contains("nowhere: no such"));
  REQUIRE_THAT(run.refusal({of_run}, 3), Contains("holds 2 whole checkpoints, not 3"));
  REQUIRE_THAT(run.refusal({of_run, of_run}, 2), Contains("--last") && Contains("2 paths"));
  REQUIRE_THROWS_WITH(plan_average({first, second}, {}, run.folder / "run"),
                      Contains("run: exists already"));
  REQUIRE_THROWS_WITH(plan_average({first, second}, {}, checkpoint_folder(run.folder / "run", 3)),
                      Contains("is where a run keeps checkpoints"));
}

TEST_CASE("a mean of damaged or diverged weights is not written") {
  const AveragedRun run;
  const auto first = run.save(1), second = run.save(2);
  const auto bad = std::numeric_limits<float>::quiet_NaN();
  const auto infinite = run.save(3, {std::numeric_limits<float>::infinity()});
  const auto diverged = run.save(4, {bad});
  for (const auto& folder : {infinite, diverged}) {
    REQUIRE_THAT(run.refusal({first.string(), folder.string()}),
                 Contains(folder.string() + ": tensor small holds weights that are no finite"));
  }
  flip_byte(second / "weights-00000.safetensors",
            std::filesystem::file_size(second / "weights-00000.safetensors") - 5);
  REQUIRE_THAT(run.refusal({first.string(), second.string()}),
               Contains((second / "weights-00000.safetensors").string() + ": is corrupt"));
}

}  // namespace
}  // namespace zebra
