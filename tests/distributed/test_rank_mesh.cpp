#include "distributed/rank_mesh.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "support/jobs.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

ParallelSection parallel_with(Sharding sharding, std::int64_t replicas) {
  ParallelSection parallel;
  parallel.sharding = sharding;
  parallel.replicas = replicas;
  return parallel;
}

// Which ranks of the job each group of each rank holds, as the group's own sums tell: rank r adds
// 2^r.
using Members = std::vector<std::vector<int>>;

Members members_of_groups(int ranks, const ParallelSection& parallel) {
  Members members(static_cast<std::size_t>(ranks));
  run_job(ranks, 1, [&](Job& job, TestRank& own) {
    const RankMesh mesh(job, parallel, torch::kCPU);
    const auto groups = mesh.groups();
    for (auto* group : {&mesh.all(), groups.shards, groups.replicas}) {
      const auto sum = torch::full({}, 1 << own.rank, torch::kFloat32);
      group->all_reduce(sum, "test").wait();
      members[static_cast<std::size_t>(own.rank)].push_back(static_cast<int>(sum.item<float>()));
    }
    mesh.all().barrier("test");
  });
  return members;
}

TEST_CASE("replicas are neighbouring ranks, and each part has a group across them") {
  const int all = 0b1111;
  const auto split = GENERATE(Sharding::optimizer, Sharding::gradients, Sharding::full);
  REQUIRE(members_of_groups(4, parallel_with(split, 2)) == Members{{all, 0b0011, 0b0101},
                                                                   {all, 0b0011, 0b1010},
                                                                   {all, 0b1100, 0b0101},
                                                                   {all, 0b1100, 0b1010}});
}

TEST_CASE("one replica of all ranks, or as many as ranks") {
  REQUIRE(members_of_groups(3, parallel_with(Sharding::full, 1)) ==
          Members{{7, 7, 1}, {7, 7, 2}, {7, 7, 4}});
  REQUIRE(members_of_groups(3, parallel_with(Sharding::none, 1)) ==
          Members{{7, 1, 7}, {7, 2, 7}, {7, 4, 7}});
  REQUIRE(members_of_groups(1, parallel_with(Sharding::full, 1)) == Members{{1, 1, 1}});
}

}  // namespace
}  // namespace zebra
