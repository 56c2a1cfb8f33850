#include "distributed/replica_check.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "distributed/sharded_data_parallel.h"
#include "support/jobs.h"
#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct Fault {
  int rank;
  std::size_t unit;
};

// What the check says on each of four ranks when one bit of each of these is wrong.
std::vector<std::string> verdicts(Sharding sharding, const std::vector<Fault>& faults) {
  std::vector<std::string> messages(4);
  run_job(4, sharding == Sharding::none ? 4 : 2, [&](Job& job, TestRank& own) {
    ZebraModel model(small_model(), ParameterMemory::placeholder);
    const ShardedDataParallel parallel(model, {sharding, torch::kFloat32, torch::kFloat32},
                                       own.groups(), torch::kCPU, /*seed=*/3);
    for (const auto& [rank, unit] : faults) {
      if (rank != own.rank) continue;
      const auto& weights = parallel.units()[unit].resident_weights();
      static_cast<std::int32_t*>(weights.mutable_data_ptr())[7] ^= 1;
    }
    try {
      check_replicas(job, parallel.units(), own.groups());
    } catch (const RunError& error) {
      messages[static_cast<std::size_t>(own.rank)] = error.what();
    }
  });
  return messages;
}

TEST_CASE("equal replicas pass") {
  const auto sharding =
      GENERATE(Sharding::none, Sharding::optimizer, Sharding::gradients, Sharding::full);
  REQUIRE(verdicts(sharding, {}) == std::vector<std::string>(4));
}

TEST_CASE("one wrong bit is named on every rank, with unit and ranks") {
  // With split weights ranks 0 and 2 hold the first part, 1 and 3 the second.
  const auto sharding = GENERATE(Sharding::none, Sharding::gradients, Sharding::full);
  const int like = sharding == Sharding::full ? 1 : 0;
  for (const auto& message : verdicts(sharding, {{3, 2}})) {
    REQUIRE_THAT(message, Catch::Matchers::Contains("differ in layers.1 on ranks " +
                                                    std::to_string(like) + " and 3. "));
  }
}

TEST_CASE("all that differs is named") {
  for (const auto& message : verdicts(Sharding::full, {{2, 0}, {3, 5}})) {
    REQUIRE_THAT(message, Catch::Matchers::Contains(
                              "differ in embedding on ranks 0 and 2, head on ranks 1 and 3. "));
  }
}

}  // namespace
}  // namespace zebra
