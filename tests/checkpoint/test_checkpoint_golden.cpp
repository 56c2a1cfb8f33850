#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/verification.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// Made once by tests/data/make_golden_checkpoint.py, and never again: whatever this build writes,
// it must read what an earlier one wrote.
const std::filesystem::path kGolden =
    std::filesystem::path(ZEBRA_TESTS_FOLDER) / "data/checkpoint-v1";
const std::filesystem::path kCheckpoint = kGolden / "step-00000003";

nlohmann::json expected() { return nlohmann::json::parse(read_file(kGolden / "expected.json")); }

void require_expected(const torch::Tensor& values, const nlohmann::json& record) {
  // Whole numbers modulo 2^64, of the bits of each element.
  const auto bits = values.view(torch::kInt32).to(torch::kInt64);
  const auto weighted = bits * torch::arange(1, bits.numel() + 1, torch::kInt64);
  REQUIRE(bits.sum().item<std::int64_t>() == record.at("bits").get<std::int64_t>());
  REQUIRE(weighted.sum().item<std::int64_t>() == record.at("weighted_bits").get<std::int64_t>());
  REQUIRE(values.to(torch::kFloat64).sum().item<double>() ==
          Approx(record.at("sum").get<double>()).epsilon(1e-9));
}

TEST_CASE("the checkpoint of format version 1 is whole and loads to the bit") {
  REQUIRE(checkpoint_faults(kCheckpoint).empty());
  Checkpoint checkpoint(kCheckpoint);
  const auto expectation = expected();
  REQUIRE(checkpoint.step() == expectation.at("step").get<std::int64_t>());
  REQUIRE(expectation.at("tensors").size() == 3);
  for (const auto& [group, tensors] : expectation.at("tensors").items()) {
    REQUIRE(tensors.size() == 21);  // nine of each layer, embedding, norm and head
    for (const auto& [name, record] : tensors.items()) {
      INFO(group << " of " << name);
      const NamedTensor tensor = {name, record.at("shape").get<std::vector<std::int64_t>>()};
      const auto values = torch::full({tensor.numel()}, std::nan(""));
      checkpoint.read(group, tensor, 0, values);
      require_expected(values, record);
    }
  }
}

TEST_CASE("the configuration of format version 1 loads where no path of it exists") {
  const auto config = Checkpoint(kCheckpoint).config();
  REQUIRE_FALSE(std::filesystem::exists(config.run.dir));
  REQUIRE(pattern_of(config.model.layers) == "GL");
  REQUIRE(config.model.hidden_size == 16);
  REQUIRE(config.model.vocab_size == 300);
  REQUIRE(config.data.tokenizer == kCheckpoint / "tokenizer.model");
}

TEST_CASE("two ranks wrote format version 1's checkpoint") {
  const auto path = kCheckpoint / Manifest::kFileName;
  const auto manifest = Manifest::from_text(read_file(path), path);
  for (const std::string group : {"weights", "exp_avg", "exp_avg_sq"}) {
    REQUIRE(manifest.files.contains(shard_file_name(group, 0)));
    REQUIRE(manifest.files.contains(shard_file_name(group, 1)));
  }
  std::size_t cut = 0;
  for (const auto& [name, record] : manifest.tensors) cut += record.fragments.size() == 2 ? 1 : 0;
  REQUIRE(cut > 0);
}

}  // namespace
}  // namespace zebra
