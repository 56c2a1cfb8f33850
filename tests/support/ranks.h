#pragma once

#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <vector>

#include "distributed/communicator.h"
#include "distributed/sharded_unit.h"

namespace zebra::testing {

/// The groups of one rank among `ranks` that form `replicas` copies, `sharing` of them to a
/// sequence.
struct TestRank {
  int rank = 0;
  std::shared_ptr<Communicator> all = std::make_shared<Communicator>();
  std::shared_ptr<Communicator> shards = std::make_shared<Communicator>();
  std::shared_ptr<Communicator> replicas = std::make_shared<Communicator>();
  std::shared_ptr<Communicator> context = std::make_shared<Communicator>();

  ProcessGroups groups() const { return {shards.get(), replicas.get()}; }
};

/// Runs `work` on that many ranks, which are threads of this process and talk through Gloo. An
/// exception of any of them is thrown again here.
inline void run_on_ranks(int ranks, int replicas, const std::function<void(TestRank&)>& work,
                         int sharing = 1) {
  // c10d's flight recorder is one for the whole process and not made for several threads.
  static const bool no_recorder = ::setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/1) == 0;
  if (!no_recorder) throw std::runtime_error("no environment");
  const c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        const auto group = [&](const std::string& name, int own,
                               int size) -> std::shared_ptr<Communicator> {
          if (size == 1) return std::make_shared<Communicator>();
          const auto keys = c10::make_intrusive<c10d::PrefixStore>(name, store);
          return make_communicator({keys, own, size, std::chrono::minutes(5), {}, "127.0.0.1"},
                                   torch::kCPU);
        };
        const int shards = ranks / replicas;
        TestRank own;
        own.rank = rank;
        own.all = group("all", rank, ranks);
        own.shards = group("replica" + std::to_string(rank / shards), rank % shards, shards);
        own.replicas = group("shard" + std::to_string(rank % shards), rank / shards, replicas);
        own.context = group("context" + std::to_string(rank / sharing), rank % sharing, sharing);
        work(own);
      } catch (...) {
        errors[static_cast<std::size_t>(rank)] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace zebra::testing
