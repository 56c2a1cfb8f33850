#include "checkpoint/model_state.h"

#include <algorithm>
#include <stdexcept>

#include "base/error.h"
#include "base/file.h"
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
  AdamW optimizer;

  RankState(const Shape& shape, const TestRank& own)
      : parallel(model, {shape.sharding, shape.type, torch::kFloat32}, own.groups(), torch::kCPU,
                 /*seed=*/2),
        optimizer({}, parallel.optimizer_ranges()) {}

  const std::vector<ShardedUnit>& units() const { return parallel.units(); }

  void set_known() {
    for (std::size_t i = 0; i < units().size(); ++i) {
      optimizer.masters(i).copy_(known_values(units()[i], "weights"));
      optimizer.first_moments(i).copy_(known_values(units()[i], "exp_avg"));
      optimizer.second_moments(i).copy_(known_values(units()[i], "exp_avg_sq"));
    }
  }
  void clear() {
    for (std::size_t i = 0; i < units().size(); ++i) {
      for (const auto& values : {units()[i].weight_shard(), optimizer.masters(i),
                                 optimizer.first_moments(i), optimizer.second_moments(i)})
        values.zero_();
    }
  }
  bool is_known() const {
    for (std::size_t i = 0; i < units().size(); ++i) {
      const auto& weights = units()[i].weight_shard();
      const auto masters = known_values(units()[i], "weights");
      if (!same_bits(optimizer.masters(i), masters) ||
          !same_bits(weights, masters.to(weights.scalar_type())) ||
          !same_bits(optimizer.first_moments(i), known_values(units()[i], "exp_avg")) ||
          !same_bits(optimizer.second_moments(i), known_values(units()[i], "exp_avg_sq")))
        return false;
    }
    return true;
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

void save(const Shape& shape, const TemporaryFolder& folder) {
  run_job(shape.ranks, shape.replicas, [&](Job& job, TestRank& own) {
    RankState state(shape, own);
    state.set_known();
    auto texts = job.text_collectives("checkpoint");
    write_checkpoint(folder / "checkpoint", content_of_state(state, own, folder), texts);
  });
}

TEST_CASE("a state written by four ranks loads to the bit into any number of ranks, in any mode") {
  const auto writer = GENERATE(from_range(std::begin(kWriters), std::end(kWriters)));
  const TemporaryFolder folder;
  save(writer, folder);
  for (const auto& reader : kReaders) {
    INFO("writers' mode " << static_cast<int>(writer.sharding) << ", replicas " << writer.replicas
                          << "; " << reader.ranks << " readers, mode "
                          << static_cast<int>(reader.sharding));
    std::vector<int> is_known(static_cast<std::size_t>(reader.ranks));
    run_on_ranks(reader.ranks, reader.replicas, [&](TestRank& own) {
      RankState state(reader, own);
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
  save(writer, folder);
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
    RankState state(shape, own);
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
