#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include <torch/cuda.h>

#include "distributed/communicator.h"
#include "support/gpu.h"
#include "support/tensors.h"

// Runs where there is a GPU (scripts/gpu/run.sh): one rank for each, as threads of this process.

namespace zebra {
namespace {

using namespace zebra::testing;

#ifdef ZEBRA_WITH_CUDA

// Every collective on this rank's own GPU; true where all gave what they should.
bool collectives_work(const c10::intrusive_ptr<c10d::Store>& store, int rank, int ranks) {
  const torch::Device device(torch::kCUDA, static_cast<c10::DeviceIndex>(rank));
  const c10::DeviceGuard guard(device);
  const auto group =
      make_communicator({store, rank, ranks, std::chrono::minutes(2), {}, ""}, device);
  bool right = true;
  for (const auto type : {torch::kFloat32, torch::kBFloat16}) {
    const auto options = torch::TensorOptions(device).dtype(type);
    const auto part = 64, size = part * ranks;
    const double sum = ranks * (ranks + 1) / 2.0;

    auto reduced = torch::full({size}, rank + 1.0, options);
    group->all_reduce(reduced, "test").wait();
    right = right && (reduced == sum).all().item<bool>();

    auto scattered = torch::full({size}, rank + 1.0, options);
    group->reduce_scatter(scattered, "test").wait();
    right = right && (group->own_shard(scattered) == sum).all().item<bool>();

    auto gathered = torch::full({size}, -1.0, options);
    group->own_shard(gathered).fill_(rank + 1.0);
    group->all_gather(gathered, "test").wait();
    const auto expected = torch::arange(1, ranks + 1, options).repeat_interleave(part);
    right = right && torch::equal(gathered, expected);

    auto sent = torch::full({size}, rank + 1.0, options);
    group->broadcast(sent, 0, "test").wait();
    right = right && (sent == 1.0).all().item<bool>();
  }
  group->barrier("test");
  return right;
}

#endif

TEST_CASE("every collective of NCCL between all GPUs of this host", "[.cuda]") {
#ifdef ZEBRA_WITH_CUDA
  require_gpu();
  const auto ranks = static_cast<int>(torch::cuda::device_count());
  const c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::HashStore>();
  std::vector<int> right(static_cast<std::size_t>(ranks), 0);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      right[static_cast<std::size_t>(rank)] = collectives_work(store, rank, ranks);
    });
  }
  for (auto& thread : threads) thread.join();
  REQUIRE(right == std::vector<int>(right.size(), 1));
#else
  FAIL("a build without CUDA");
#endif
}

}  // namespace
}  // namespace zebra
