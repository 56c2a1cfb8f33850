#include "ops/tensor_memory.h"

#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "support/catch.h"

namespace zebra {
namespace {

constexpr std::int64_t kMiB = 1024 * 1024;

torch::Tensor bytes(std::int64_t count) { return torch::empty({count}, torch::kUInt8); }

/// From here on, without what other tests left.
TensorMemory fresh_start() {
  keep_tensor_memory();
  release_tensor_memory();
  return tensor_memory();
}

TEST_CASE("memory of a freed tensor is handed out again for one of about its size") {
  const auto before = fresh_start();
  const void* first = nullptr;
  {
    const auto x = bytes(5 * kMiB);
    first = x.data_ptr();
    REQUIRE(tensor_memory().used >= before.used + 5 * kMiB);
    REQUIRE(bytes(5 * kMiB).data_ptr() != first);
  }
  REQUIRE(tensor_memory().used == before.used);
  const auto held = tensor_memory().held;
  REQUIRE(held >= before.held + 10 * kMiB);
  const auto again = bytes(5 * kMiB), other = bytes(5 * kMiB - 7);
  REQUIRE((again.data_ptr() == first || other.data_ptr() == first));
  REQUIRE(tensor_memory().held == held);
}

TEST_CASE("sizes are rounded up by an eighth at most, and data begins at a page") {
  for (std::int64_t count = kSmallestKeptBytes; count < 40 * kMiB; count += count / 7 + 1) {
    const auto before = fresh_start();
    const auto x = bytes(count);
    CAPTURE(count);
    const auto used = tensor_memory().used - before.used;
    REQUIRE(used >= count);
    REQUIRE(8 * used <= 9 * count + 8);
    REQUIRE(reinterpret_cast<std::uintptr_t>(x.data_ptr()) % 4096 == 0);
    x.fill_(255);  // to the last byte
  }
}

TEST_CASE("small tensors are LibTorch's") {
  const auto before = fresh_start();
  const auto x = bytes(kSmallestKeptBytes - 1);
  REQUIRE(tensor_memory().used == before.used);
  // Some of them begin at a page too.
  std::vector<torch::Tensor> many;
  int at_page = 0;
  for (int i = 0; i < 2000; ++i) {
    many.push_back(bytes(64 * (1 + i % 50)));
    at_page += reinterpret_cast<std::uintptr_t>(many.back().data_ptr()) % 4096 == 0;
  }
  REQUIRE(at_page > 0);
  many.clear();
  REQUIRE(tensor_memory().held == before.held);
}

TEST_CASE("what is held beyond what was in use at once is bounded") {
  const auto before = fresh_start();
  std::int64_t most = before.used, most_held = 0, all = 0;
  for (std::int64_t size = 16 * kMiB; size <= 2048 * kMiB; size += size / 4) {
    const auto x = bytes(size);
    all += size;
    most = std::max(most, tensor_memory().used);
    most_held = std::max(most_held, tensor_memory().held);
    REQUIRE(tensor_memory().held <= most + std::max(most / 4, 256 * kMiB));
  }
  REQUIRE(all > 2 * most_held);
}

TEST_CASE("what is not in use is given back") {
  const auto before = fresh_start();
  const auto kept = bytes(8 * kMiB).fill_(7);
  bytes(32 * kMiB);
  REQUIRE(tensor_memory().held >= before.held + 40 * kMiB);
  release_tensor_memory();
  REQUIRE(tensor_memory().held == tensor_memory().used);
  REQUIRE(kept.eq(7).all().item<bool>());
}

TEST_CASE("memory without a tensor, as oneDNN takes it, and growing tensors") {
  const auto before = fresh_start();
  auto& allocator = *c10::GetAllocator(c10::DeviceType::CPU);
  for (const std::size_t count : {std::size_t{0}, std::size_t{64}, std::size_t{3 * kMiB}}) {
    allocator.raw_deallocate(allocator.raw_allocate(count));
  }
  REQUIRE(tensor_memory().used == before.used);
  auto x = torch::arange(kMiB / 2, torch::kFloat32);
  x.resize_({2 * kMiB});
  REQUIRE(torch::equal(x.narrow(0, 0, kMiB / 2), torch::arange(kMiB / 2, torch::kFloat32)));
}

TEST_CASE("a tensor that cannot be had is an error, and the next one can") {
  const auto before = fresh_start();
  REQUIRE_THROWS_AS(bytes(std::int64_t{1} << 50), c10::Error);
  REQUIRE(tensor_memory().used == before.used);
  REQUIRE(bytes(2 * kMiB).fill_(1).eq(1).all().item<bool>());
}

TEST_CASE("tensors of several threads do not share memory") {
  const auto before = fresh_start();
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &wrong] {
      std::vector<torch::Tensor> live(5);
      for (int i = 0; i < 300; ++i) {
        auto& x = live[static_cast<std::size_t>(i * 7 % 5)];
        if (x.defined() && x[0].item<int>() + x[-1].item<int>() != 2 * t) ++wrong;
        x = bytes(kMiB + (i % 3) * kMiB);
        x[0] = t;
        x[-1] = t;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  REQUIRE(wrong == 0);
  REQUIRE(tensor_memory().used == before.used);
}

}  // namespace
}  // namespace zebra
