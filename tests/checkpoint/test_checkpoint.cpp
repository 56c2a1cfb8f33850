#include "checkpoint/checkpoint.h"

#include "base/error.h"
#include "checkpoint/folder.h"
#include "checkpoint/model_state.h"
#include "config/load.h"
#include "distributed/sharded_data_parallel.h"
#include "model/zebra_model.h"
#include "support/models.h"
#include "support/ranks.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

Config config_for(const TemporaryFolder& folder) {
  return resolve(
      parse_run_file("run: {dir: " + folder.path().string() +
                         "/run}\nmodel: {preset: zebra-tiny}\n"
                         "data: {tokenizer: tok.model, train: [{path: t}], sequence_length: 64}\n"
                         "train: {max_steps: 3, global_batch_size: 2}\n",
                     "c.yaml"),
      300);
}

// A training state with known numbers everywhere, on one rank or as one rank's part of it.
struct SavedState {
  ZebraModel model{small_model()};
  TestRank rank;
  std::unique_ptr<ShardedDataParallel> parallel;
  std::unique_ptr<ShardedOptimizer> optimizer;
  TextCollectives texts{nullptr, 0, 1};

  explicit SavedState(std::int64_t seed, torch::ScalarType type) {
    const ShardingOptions options = {Sharding::none, type, torch::kFloat32};
    parallel =
        std::make_unique<ShardedDataParallel>(model, options, rank.groups(), torch::kCPU, seed);
    optimizer = std::make_unique<ShardedOptimizer>(OptimizerSection{}, *parallel);
    torch::manual_seed(seed);
    for (const auto& unit : units())
      unit.gradient_shard().copy_(torch::randn_like(unit.gradient_shard()));
    for (int step = 0; step < 3; ++step) {
      optimizer->step(1e-3, torch::ones({2}));
      optimizer->set_steps_taken(step + 1);
    }
  }

  const std::vector<ShardedUnit>& units() const { return parallel->units(); }
  auto tensors() const { return training_tensors(units(), *rank.replicas, *optimizer); }

  void save(const TemporaryFolder& folder, std::int64_t step,
            nlohmann::ordered_json training = {{"key", 1.5}}) {
    write_checkpoint(checkpoint_folder(folder.path() / "run", step),
                     {step,
                      config_for(folder),
                      {{"tokenizer.model", "stands for a tokenizer"}},
                      training,
                      tensors()},
                     texts);
  }
};

void require_same(const SavedState& a, const SavedState& b) {
  for (std::size_t i = 0; i < a.units().size(); ++i)
    for (const auto& [tensor, deviation, begin] : a.units()[i].layout().tensors())
      REQUIRE(same_bits(a.units()[i].weight_shard().narrow(0, begin, tensor.numel()),
                        b.units()[i].weight_shard().narrow(0, begin, tensor.numel())));
  const auto groups = a.tensors(), others = b.tensors();
  REQUIRE(groups.size() == 3);
  REQUIRE(others.size() == 3);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    REQUIRE(groups[i].second.size() == others[i].second.size());
    for (std::size_t k = 0; k < groups[i].second.size(); ++k)
      REQUIRE(same_bits(groups[i].second[k].values, others[i].second[k].values));
  }
}

TEST_CASE("a training state comes back bit for bit") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const TemporaryFolder folder;
  SavedState saved(1, type), loaded(2, type);
  saved.save(folder, 40);
  Checkpoint checkpoint(checkpoint_folder(folder.path() / "run", 40));
  REQUIRE(checkpoint.step() == 40);
  REQUIRE(checkpoint.training().at("key").get<double>() == 1.5);
  load_training_tensors(checkpoint, loaded.units(), *loaded.optimizer);
  require_same(saved, loaded);
}

TEST_CASE("weights alone load into a model of another type") {
  const TemporaryFolder folder;
  SavedState saved(1, torch::kBFloat16);
  saved.save(folder, 1);
  Checkpoint checkpoint(checkpoint_folder(folder.path() / "run", 1));
  ZebraModel model(small_model());
  for (const auto& unit : model->units()) load_weights(checkpoint, unit);
  for (const auto& item : model->named_parameters()) {
    REQUIRE(same_bits(item.value().detach().to(torch::kBFloat16),
                      saved.model->named_parameters()[item.key()].detach()));
  }
}

TEST_CASE("the checkpoint stands alone: configuration and tokenizer are inside") {
  const TemporaryFolder folder;
  SavedState(1, torch::kFloat32).save(folder, 1);
  Checkpoint checkpoint(checkpoint_folder(folder.path() / "run", 1));
  const auto config = checkpoint.config();
  REQUIRE(config.data.tokenizer == checkpoint.folder() / "tokenizer.model");
  REQUIRE(differences(config_for(folder), config).size() == 1);  // the tokenizer's path alone
}

TEST_CASE("a missing, shortened or changed file is refused by name") {
  const TemporaryFolder folder;
  SavedState state(1, torch::kFloat32);
  state.save(folder, 1);
  const auto at = checkpoint_folder(folder.path() / "run", 1);
  const auto load = [&] {
    Checkpoint checkpoint(at);
    checkpoint.config();
    load_training_tensors(checkpoint, state.units(), *state.optimizer);
  };
  REQUIRE_NOTHROW(load());
  const std::string name =
      GENERATE(as<std::string>{}, "weights-00000.safetensors", "exp_avg-00000.safetensors",
               "config.yaml", "tokenizer.model", "manifest.json");
  const auto file = at / name;
  const auto how = GENERATE(0, 1, 2, 3);
  const auto size = std::filesystem::file_size(file);
  if (how == 0) std::filesystem::remove(file);
  if (how == 1) std::filesystem::resize_file(file, size - 1);
  if (how == 2) flip_byte(file, size / 2);
  if (how == 3) flip_byte(file, size - 5);
  INFO(name << " " << how);
  REQUIRE_THROWS_WITH(load(), Catch::Matchers::Contains(name));
  REQUIRE_THROWS_AS(load(), InputError);
}

TEST_CASE("a model of another shape is refused") {
  const TemporaryFolder folder;
  SavedState(1, torch::kFloat32).save(folder, 1);
  Checkpoint checkpoint(checkpoint_folder(folder.path() / "run", 1));
  auto section = small_model();
  section.intermediate_size = 48;
  ZebraModel wider(section);
  REQUIRE_THROWS_WITH(load_weights(checkpoint, wider->blocks[0]->unit()),
                      Catch::Matchers::Contains("another shape"));
  ZebraModel deeper(small_model("GLLGG"));
  REQUIRE_THROWS_WITH(load_weights(checkpoint, deeper->blocks[4]->unit()),
                      Catch::Matchers::Contains("holds no tensor"));
}

TEST_CASE("a save that fails leaves neither a checkpoint nor a partial one") {
  const TemporaryFolder folder;
  SavedState state(1, torch::kFloat32);
  const auto at = checkpoint_folder(folder.path() / "run", 7);
  CheckpointContent content = {
      7, config_for(folder), {{"tokenizer.model", "tokenizer"}}, {}, state.tensors()};
  content.before_manifest = [] { throw RunError("the disk is full"); };
  REQUIRE_THROWS_AS(write_checkpoint(at, content, state.texts), RunError);
  REQUIRE(std::filesystem::is_empty(at.parent_path()));
}

}  // namespace
}  // namespace zebra
