#include "checkpoint/checkpoint_writer.h"

#include "base/error.h"
#include "checkpoint/folder.h"
#include "config/load.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

const NamedTensor kTensor = {"weight", {3, 1000}};

CheckpointContent content_at_step(std::int64_t step, const torch::Tensor& values) {
  return {step,
          resolve(parse_run_file(
                      "run: {dir: r}\nmodel: {preset: zebra-tiny}\n"
                      "data: {tokenizer: tok.model, train: [{path: t}], sequence_length: 64}\n"
                      "train: {max_steps: 3, global_batch_size: 2}\n",
                      "c.yaml"),
                  300),
          {{"tokenizer.model", "stands for a tokenizer"}},
          {{"step", step}},
          {{"weights", {{kTensor, 0, values}}}}};
}

struct Fixture {
  TemporaryFolder folder;
  std::atomic<int> saves = 0;
  CheckpointWriter writer{TextCollectives(nullptr, 0, 1), [this] { ++saves; }};

  std::filesystem::path at(std::int64_t step) const {
    return checkpoint_folder(folder.path() / "run", step);
  }
};

TEST_CASE_METHOD(Fixture, "what is saved is the state at the start, whatever training does since") {
  REQUIRE_FALSE(writer.is_busy());
  REQUIRE_FALSE(writer.poll());
  for (const std::int64_t step : {1, 2}) {
    const auto values = torch::randn({3000});
    const auto before = values.clone();
    writer.start(at(step), content_at_step(step, values));
    values.fill_(std::nan(""));
    REQUIRE(writer.is_busy());
    const auto outcome = writer.wait([] {});
    REQUIRE(outcome);
    REQUIRE(outcome->error == nullptr);
    REQUIRE(outcome->step == step);
    REQUIRE(outcome->folder == at(step));
    REQUIRE(outcome->seconds > 0.0);
    REQUIRE_FALSE(writer.is_busy());
    REQUIRE(saves == step);
    Checkpoint checkpoint(at(step));
    auto read = torch::full({3000}, std::nan(""));
    checkpoint.read("weights", kTensor, 0, read);
    REQUIRE(same_bits(read, before));
  }
}

TEST_CASE_METHOD(Fixture, "a save that fails says so once, and the next one may succeed") {
  write_text(folder / "run", "a file where the folder should be");
  writer.start(at(1), content_at_step(1, torch::randn({3000})));
  auto outcome = writer.wait([] {});
  REQUIRE(outcome->error != nullptr);
  REQUIRE_THROWS_AS(std::rethrow_exception(outcome->error), RunError);
  REQUIRE_FALSE(writer.poll());
  REQUIRE(saves == 0);
  std::filesystem::remove(folder / "run");
  writer.start(at(1), content_at_step(1, torch::randn({3000})));
  outcome = writer.wait([] {});
  REQUIRE(outcome->error == nullptr);
  REQUIRE_NOTHROW(Checkpoint(at(1)));
}

TEST_CASE("a writer that goes waits for its save") {
  const TemporaryFolder folder;
  const auto at = checkpoint_folder(folder.path() / "run", 5);
  {
    CheckpointWriter writer(TextCollectives(nullptr, 0, 1), [] {});
    writer.start(at, content_at_step(5, torch::randn({3000})));
  }
  REQUIRE_NOTHROW(Checkpoint(at));
}

}  // namespace
}  // namespace zebra
