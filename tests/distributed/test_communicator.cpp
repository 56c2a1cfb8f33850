#include "distributed/communicator.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "support/jobs.h"
#include "support/ranks.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// What rank `rank` brings along: small integers, so that every sum is exact in bfloat16 too.
torch::Tensor brought(int rank, std::int64_t size, torch::ScalarType type) {
  return (torch::arange(size) * (rank + 1) + rank).remainder(13).sub(6).to(type);
}

torch::Tensor sum_of_brought(int ranks, std::int64_t size, torch::ScalarType type) {
  auto sum = torch::zeros({size}, type);
  for (int rank = 0; rank < ranks; ++rank) sum += brought(rank, size, type);
  return sum;
}

torch::Tensor poisoned(std::int64_t size, torch::ScalarType type) {
  return torch::full({size}, std::numeric_limits<float>::quiet_NaN(), type);
}

// Catch2 is for one thread: the ranks compute, and this compares.
struct Expectation {
  std::string what;
  torch::Tensor actual, expected;
};

void require_on_ranks(int ranks, const std::function<std::vector<Expectation>(TestRank&)>& work) {
  std::vector<std::vector<Expectation>> of_rank(static_cast<std::size_t>(ranks));
  run_on_ranks(ranks, 1,
               [&](TestRank& own) { of_rank[static_cast<std::size_t>(own.rank)] = work(own); });
  for (const auto& expectations : of_rank) {
    for (const auto& [what, actual, expected] : expectations) {
      INFO(what << " on " << ranks << " ranks");
      REQUIRE(same_bits(actual, expected));
    }
  }
}

TEST_CASE("collectives give what the ranks brought, on all ranks alike") {
  const int ranks = GENERATE(1, 2, 3, 4);
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const std::int64_t size = ranks * GENERATE(1, 7, 1024);
  const auto sum = sum_of_brought(ranks, size, type);
  require_on_ranks(ranks, [&](TestRank& own) {
    auto& group = *own.all;
    const auto own_values = brought(own.rank, size, type);

    const auto reduced = own_values.clone();
    group.all_reduce(reduced, "test").wait();

    const auto scattered = own_values.clone();
    group.reduce_scatter(scattered, "test").wait();

    const auto gathered = poisoned(size, type);
    group.own_shard(gathered).copy_(group.own_shard(sum));
    group.all_gather(gathered, "test").wait();

    const int root = ranks - 1;
    const auto received = own.rank == root ? own_values.clone() : poisoned(size, type);
    group.broadcast(received, root, "test").wait();
    return std::vector<Expectation>{
        {"all-reduce", reduced, sum},
        {"reduce-scatter", group.own_shard(scattered).clone(), group.own_shard(sum)},
        {"all-gather", gathered, sum},
        {"broadcast", received, brought(root, size, type)}};
  });
}

TEST_CASE("an all-reduce takes any shape and size") {
  const int ranks = GENERATE(2, 3);
  require_on_ranks(ranks, [&](TestRank& own) {
    const auto scalar = brought(own.rank, 1, torch::kFloat64).squeeze();
    const auto matrix = brought(own.rank, 35, torch::kFloat32).view({5, 7});
    own.all->all_reduce(scalar, "test").wait();
    own.all->all_reduce(matrix, "test").wait();
    return std::vector<Expectation>{
        {"scalar", scalar, sum_of_brought(ranks, 1, torch::kFloat64).squeeze()},
        {"matrix", matrix, sum_of_brought(ranks, 35, torch::kFloat32).view({5, 7})}};
  });
}

TEST_CASE("rounded sums are the same bits on every rank and every time") {
  const int ranks = GENERATE(2, 3, 4);
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const std::int64_t size = 12 * 997;
  std::vector<torch::Tensor> sums(static_cast<std::size_t>(2 * ranks));
  for (int round = 0; round < 2; ++round) {
    run_on_ranks(ranks, 1, [&](TestRank& own) {
      const auto generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(own.rank));
      auto& sum = sums[static_cast<std::size_t>(round * ranks + own.rank)];
      sum = torch::randn({size}, generator).to(type);
      own.all->all_reduce(sum, "test").wait();
    });
  }
  for (const auto& sum : sums) REQUIRE(same_bits(sum, sums.front()));
}

TEST_CASE("several collectives are under way at once and may be awaited in any order") {
  const int ranks = GENERATE(2, 4);
  constexpr std::int64_t kSize = 4096;
  require_on_ranks(ranks, [&](TestRank& own) {
    std::vector<torch::Tensor> buffers;
    std::vector<PendingCollective> pending;
    for (int i = 0; i < 12; ++i) {
      buffers.push_back(brought(own.rank, kSize, torch::kFloat32) + i);
      const auto what = "buffer " + std::to_string(i);
      pending.push_back(i % 2 == 0 ? own.all->all_reduce(buffers.back(), what)
                                   : own.all->broadcast(buffers.back(), 0, what));
    }
    // Each rank in another order.
    for (std::size_t i = 0; i < pending.size(); ++i)
      pending[(i + 5 * static_cast<std::size_t>(own.rank)) % pending.size()].wait();
    std::vector<Expectation> expectations;
    for (int i = 0; i < 12; ++i) {
      expectations.push_back({"buffer " + std::to_string(i), buffers[static_cast<std::size_t>(i)],
                              i % 2 == 0 ? sum_of_brought(ranks, kSize, torch::kFloat32) + i * ranks
                                         : brought(0, kSize, torch::kFloat32) + i});
    }
    return expectations;
  });
}

TEST_CASE("a barrier holds every rank until the last one comes") {
  std::atomic<int> arrived = 0;
  std::vector<int> seen(4);
  run_on_ranks(4, 1, [&](TestRank& own) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20 * own.rank));
    ++arrived;
    own.all->barrier("test");
    seen[static_cast<std::size_t>(own.rank)] = arrived;
  });
  REQUIRE(seen == std::vector<int>(4, 4));
}

TEST_CASE("on a single rank a collective leaves everything as it is") {
  const auto group = std::make_unique<Communicator>();
  const auto buffer = torch::arange(5.0);
  for (auto& pending : {group->all_reduce(buffer, "test"), group->reduce_scatter(buffer, "test"),
                        group->all_gather(buffer, "test"), group->broadcast(buffer, 0, "test")})
    REQUIRE_FALSE(pending.is_under_way());
  group->barrier("test");
  REQUIRE(same_bits(buffer, torch::arange(5.0)));
  REQUIRE(same_bits(group->own_shard(buffer), buffer));
}

TEST_CASE("own shards are equal neighbouring pieces; there are none of an uneven buffer") {
  require_on_ranks(3, [](TestRank& own) {
    const auto buffer = torch::arange(12);
    bool refused = false;
    try {
      own.all->own_shard(torch::arange(13));
    } catch (const c10::Error&) {
      refused = true;
    }
    return std::vector<Expectation>{
        {"shard", own.all->own_shard(buffer), torch::arange(4) + 4 * own.rank},
        {"refusal", torch::tensor(refused), torch::tensor(true)}};
  });
}

TEST_CASE("the listener hears of a collective when the host waits for it, once") {
  const c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::vector<std::string>> heard(2);
  run_on_ranks(2, 1, [&](TestRank& own) {
    auto& events = heard[static_cast<std::size_t>(own.rank)];
    const CollectiveListener listener = {[&](const std::string& name) { events.push_back(name); },
                                         [&] { events.push_back("done"); }};
    const auto keys = c10::make_intrusive<c10d::PrefixStore>("listener", store);
    const auto group = make_communicator(
        {keys, own.rank, 2, std::chrono::minutes(5), listener, "127.0.0.1"}, torch::kCPU);
    const auto buffer = torch::zeros({4});
    auto first = group->all_gather(buffer, "layers.3");
    auto second = group->reduce_scatter(buffer.clone(), "layers.4");
    events.push_back("begun");
    second.wait();
    second.wait();
    first.wait();
    group->all_reduce(buffer, "the loss").wait();
    group->broadcast(buffer, 0, "the seed").wait();
    group->barrier("the end");
  });
  for (const auto& events : heard) {
    REQUIRE(events == std::vector<std::string>{
                          "begun", "reduce-scatter of layers.4", "done", "all-gather of layers.3",
                          "done", "all-reduce of the loss", "done", "broadcast of the seed", "done",
                          "barrier: the end", "done"});
  }
}

TEST_CASE("when a rank leaves, the others' wait names the collective") {
  std::signal(SIGPIPE, SIG_IGN);  // as `zebra train` does: Gloo writes to closed connections
  const bool is_barrier = GENERATE(false, true);
  const int ranks = GENERATE(2, 3);
  std::vector<std::string> messages(static_cast<std::size_t>(ranks));
  run_on_ranks(ranks, 1, [&](TestRank& own) {
    if (own.rank == 1) {
      own.all.reset();
      own.shards.reset();
      return;
    }
    try {
      if (is_barrier) {
        own.all->barrier("the end");
      } else {
        own.all->all_reduce(torch::zeros({8}), "layers.3").wait();
      }
    } catch (const CollectiveError& error) {
      messages[static_cast<std::size_t>(own.rank)] = error.what();
    }
  });
  const std::string name = is_barrier ? "barrier: the end: " : "all-reduce of layers.3: ";
  for (int rank = 0; rank < ranks; ++rank) {
    if (rank != 1)
      REQUIRE_THAT(messages[static_cast<std::size_t>(rank)], Catch::Matchers::StartsWith(name));
  }
}

ParallelSection parallel_with(Sharding sharding, std::int64_t replicas) {
  ParallelSection parallel;
  parallel.sharding = sharding;
  parallel.replicas = replicas;
  return parallel;
}

// Which ranks of the job each group of each rank holds, as the group's own sums tell: rank r adds
// 2^r.
using Members = std::vector<std::vector<int>>;

Members groups_of(int ranks, const ParallelSection& parallel) {
  Members members(static_cast<std::size_t>(ranks));
  run_job(ranks, 1, [&](Job& job, TestRank& own) {
    const DeviceMesh mesh(job, parallel, torch::kCPU);
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

TEST_CASE("replicas are neighbouring ranks, and each shard has a group across them") {
  const int all = 0b1111;
  const auto split = GENERATE(Sharding::optimizer, Sharding::gradients, Sharding::full);
  REQUIRE(groups_of(4, parallel_with(split, 2)) == Members{{all, 0b0011, 0b0101},
                                                           {all, 0b0011, 0b1010},
                                                           {all, 0b1100, 0b0101},
                                                           {all, 0b1100, 0b1010}});
}

TEST_CASE("one replica of all ranks, or as many as ranks") {
  REQUIRE(groups_of(3, parallel_with(Sharding::full, 1)) ==
          Members{{7, 7, 1}, {7, 7, 2}, {7, 7, 4}});
  REQUIRE(groups_of(3, parallel_with(Sharding::none, 1)) ==
          Members{{7, 1, 7}, {7, 2, 7}, {7, 4, 7}});
  REQUIRE(groups_of(1, parallel_with(Sharding::full, 1)) == Members{{1, 1, 1}});
}

}  // namespace
}  // namespace zebra
