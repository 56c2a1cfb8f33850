#include "checkpoint/model_state.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/verification.h"
#include "config/load.h"
#include "distributed/sharded_data_parallel.h"
#include "support/jobs.h"
#include "support/models.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct Shape {
  int ranks;
  Sharding sharding;
  int replicas;
  torch::ScalarType type = torch::kFloat32;
};

OptimizerSection optimizer_of(OptimizerType type) {
  OptimizerSection settings;
  settings.type = type;
  return settings;
}

constexpr Shape kWriters[] = {{4, Sharding::none, 4},
                              {4, Sharding::gradients, 1, torch::kBFloat16},
                              {4, Sharding::gradients, 2},
                              {4, Sharding::full, 1},
                              {4, Sharding::full, 2, torch::kBFloat16}};
constexpr Shape kReaders[] = {{1, Sharding::none, 1},
                              {2, Sharding::none, 2, torch::kBFloat16},
                              {2, Sharding::full, 1},
                              {3, Sharding::gradients, 1},
                              {3, Sharding::full, 1, torch::kBFloat16}};

// Values of a whole unit that depend on tensor and index alone; this rank's shard of them.
torch::Tensor known_values(const ShardedUnit& unit, const std::string& group) {
  const auto flat = torch::zeros({unit.layout().size()});
  for (const auto& [tensor, deviation, begin] : unit.layout().tensors()) {
    fill_initial_weights({group + " of " + tensor.name, tensor.shape}, InitialWeights{0.0, 1.0},
                         /*seed=*/5, 0, flat.narrow(0, begin, tensor.numel()));
  }
  return flat.narrow(0, unit.shard_begin(), unit.weight_shard().numel());
}

// One rank's shard of a training state.
struct RankState {
  ZebraModel model{small_model(), ParameterMemory::placeholder};
  ShardedDataParallel parallel;
  ShardedOptimizer optimizer;

  RankState(const Shape& shape, OptimizerType type, const TestRank& own)
      : parallel(model, {shape.sharding, shape.type, torch::kFloat32}, own.groups(), torch::kCPU,
                 /*seed=*/2),
        optimizer(optimizer_of(type), parallel) {}

  const std::vector<ShardedUnit>& units() const { return parallel.units(); }

  torch::Tensor known(const OptimizerState& state) const {
    const auto& unit = units()[state.unit];
    return known_values(unit, state.group)
        .narrow(0, state.begin - unit.shard_begin(), state.values.numel());
  }
  void set_known() {
    for (const auto& state : optimizer.state()) state.values.copy_(known(state));
  }
  void clear() {
    for (const auto& unit : units()) unit.weight_shard().zero_();
    for (const auto& state : optimizer.state()) state.values.zero_();
  }
  bool is_known() const {
    for (const auto& unit : units()) {
      const auto& weights = unit.weight_shard();
      if (!same_bits(weights, known_values(unit, "weights").to(weights.scalar_type())))
        return false;
    }
    return std::ranges::all_of(optimizer.state(), [&](const OptimizerState& state) {
      return same_bits(state.values, known(state));
    });
  }
};

CheckpointContent content_of_state(const RankState& state, const TestRank& own,
                                   const TemporaryFolder& folder) {
  const auto config = resolve(
      parse_run_file("run: {dir: " + folder.path().string() +
                         "}\nmodel: {preset: zebra-tiny}\n"
                         "data: {tokenizer: tok.model, train: [{path: t}], sequence_length: 64}\n"
                         "train: {max_steps: 3, global_batch_size: 2}\n",
                     "c.yaml"),
      300);
  return {3,
          config,
          {{"tokenizer.model", "stands for a tokenizer"}},
          {{"key", 1.5}},
          training_tensors(state.units(), *own.replicas, state.optimizer)};
}

void save(const Shape& shape, OptimizerType type, const TemporaryFolder& folder) {
  run_job(shape.ranks, shape.replicas, [&](Job& job, TestRank& own) {
    RankState state(shape, type, own);
    state.set_known();
    auto texts = job.text_collectives("checkpoint");
    write_checkpoint(folder / "checkpoint", content_of_state(state, own, folder), texts);
  });
}

TEST_CASE("a state written by four ranks loads to the bit into any number of ranks, in any mode") {
  const auto writer = GENERATE(from_range(std::begin(kWriters), std::end(kWriters)));
  const auto type = GENERATE(OptimizerType::adamw, OptimizerType::muon);
  const TemporaryFolder folder;
  save(writer, type, folder);
  for (const auto& reader : kReaders) {
    INFO("writers' mode " << static_cast<int>(writer.sharding) << ", replicas " << writer.replicas
                          << "; " << reader.ranks << " readers, mode "
                          << static_cast<int>(reader.sharding));
    std::vector<int> is_known(static_cast<std::size_t>(reader.ranks));
    run_on_ranks(reader.ranks, reader.replicas, [&](TestRank& own) {
      RankState state(reader, type, own);
      state.clear();
      Checkpoint checkpoint(folder / "checkpoint");
      load_training_tensors(checkpoint, state.units(), state.optimizer);
      is_known[static_cast<std::size_t>(own.rank)] = state.is_known();
    });
    REQUIRE(is_known == std::vector<int>(is_known.size(), 1));
  }
}

TEST_CASE("every element is stored once, and the ranks share the work") {
  const auto writer = GENERATE(from_range(std::begin(kWriters), std::end(kWriters)));
  const TemporaryFolder folder;
  save(writer, OptimizerType::adamw, folder);
  const auto path = folder / "checkpoint" / Manifest::kFileName;
  const auto manifest = Manifest::from_text(read_file(path), path);

  std::size_t tensors = 0;
  std::int64_t total = 0;
  std::vector<std::int64_t> elements_of_part(4);
  const auto units = ZebraModel(small_model())->units();
  for (const auto& unit : units) {
    for (const auto& parameter : unit.parameters) {
      for (const auto& tensor : parameter.spec.parts) {
        INFO(tensor.name);
        const auto& record = manifest.tensors.at(tensor.name);
        REQUIRE(record.shape == tensor.shape);
        std::int64_t end = 0;
        for (const auto& fragment : record.fragments) {
          REQUIRE(fragment.begin == end);
          end = fragment.end;
          elements_of_part.at(static_cast<std::size_t>(fragment.shard)) += end - fragment.begin;
        }
        REQUIRE(end == tensor.numel());
        total += end;
        ++tensors;
      }
    }
  }
  REQUIRE(manifest.tensors.size() == tensors);
  for (const auto elements : elements_of_part) REQUIRE(4 * elements <= total * 5 / 4);
  std::uintmax_t stored = 0;
  for (const auto& [name, record] : manifest.files) {
    if (name.ends_with(".safetensors")) stored += record.size;
  }
  REQUIRE(stored >= static_cast<std::uintmax_t>(3 * 4 * total));
  REQUIRE(stored < static_cast<std::uintmax_t>(3 * 4 * total + 12 * 16384));  // headers
}

TEST_CASE(
    "with Muon a matrix has one state and the others have two, and format 1 stays for AdamW") {
  const auto writer = GENERATE(from_range(std::begin(kWriters), std::end(kWriters)));
  const TemporaryFolder folder;
  save(writer, OptimizerType::muon, folder);
  const auto path = folder / "checkpoint" / Manifest::kFileName;
  const auto manifest = Manifest::from_text(read_file(path), path);
  REQUIRE(manifest.format_version() == 2);
  std::set<std::string> matrices;
  for (const auto& [name, record] : manifest.tensors) {
    INFO(name);
    const bool is_matrix = name.find("_proj.") != std::string::npos;
    REQUIRE(record.groups == (is_matrix
                                  ? std::set<std::string>{"weights", "momentum"}
                                  : std::set<std::string>{"weights", "exp_avg", "exp_avg_sq"}));
    if (is_matrix) matrices.insert(name);
  }
  REQUIRE(matrices.size() == 7 * 4);
  REQUIRE(checkpoint_faults(folder / "checkpoint").empty());

  const TemporaryFolder other;
  save(writer, OptimizerType::adamw, other);
  REQUIRE(Manifest::of(other / "checkpoint").format_version() == 1);
}

TEST_CASE("a rank that cannot write is named on all ranks, and nothing is left behind") {
  const int faulty = GENERATE(0, 2);
  const bool in_manifest = GENERATE(false, true);
  if (in_manifest && faulty != 0) return;
  const Shape shape = {3, Sharding::full, 1};
  const TemporaryFolder folder;
  const auto run = folder / "run";
  std::vector<std::string> messages(3);
  bool nothing_left = false;
  run_job(shape.ranks, shape.replicas, [&](Job& job, TestRank& own) {
    RankState state(shape, OptimizerType::adamw, own);
    state.set_known();
    auto texts = job.text_collectives("checkpoint");
    auto content = content_of_state(state, own, folder);
    if (own.rank == faulty) {
      if (in_manifest)
        content.before_manifest = [] { throw RunError("missing"); };
      else
        content.groups[1].first = "missing/exp_avg";  // a folder that is not there
    }
    try {
      write_checkpoint(run / "checkpoint", content, texts);
    } catch (const RunError& error) {
      messages[static_cast<std::size_t>(own.rank)] = error.what();
    }
    job.all_gather("", "the end of the first save");
    if (own.rank == 0) nothing_left = std::filesystem::is_empty(run);
    // The ranks are still in step.
    write_checkpoint(run / "checkpoint", content_of_state(state, own, folder), texts);
  });
  REQUIRE(nothing_left);
  REQUIRE_NOTHROW(Checkpoint(run / "checkpoint"));
  for (const auto& message : messages) {
    REQUIRE_THAT(message, Catch::Matchers::Contains("rank " + std::to_string(faulty) + ": ") &&
                              Catch::Matchers::Contains("missing") &&
                              Catch::Matchers::Contains("cannot save the checkpoint"));
    REQUIRE(message == messages.front());
  }
}

}  // namespace
}  // namespace zebra
