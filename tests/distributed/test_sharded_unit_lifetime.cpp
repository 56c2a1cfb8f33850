#include "distributed/sharded_unit.h"

#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "model/zebra_model.h"
#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// What became of the collectives of a played group.
struct Account {
  int begun = 0, awaited = 0;
  int without_memory = 0;  // whose buffer had lost its memory before they were awaited
};

class PlayedWork : public c10d::Work {
 public:
  PlayedWork(torch::Tensor buffer, Account& account)
      : buffer_(std::move(buffer)), memory_(buffer_.const_data_ptr()), account_(account) {
    ++account_.begun;
  }

  bool wait(std::chrono::milliseconds) override {
    ++account_.awaited;
    if (buffer_.storage().nbytes() == 0 || buffer_.const_data_ptr() != memory_)
      ++account_.without_memory;
    return true;
  }

 private:
  torch::Tensor buffer_;
  const void* memory_;
  Account& account_;
};

/// The first of two ranks, whose collectives are under way until they are waited for.
class PlayedBackend : public c10d::Backend {
 public:
  explicit PlayedBackend(Account& account) : Backend(/*rank=*/0, /*size=*/2), account_(account) {}

  const std::string getBackendName() const override { return "played"; }

  c10::intrusive_ptr<c10d::Work> allreduce(std::vector<torch::Tensor>& tensors,
                                           const c10d::AllreduceOptions&) override {
    return c10::make_intrusive<PlayedWork>(tensors.front(), account_);
  }
  c10::intrusive_ptr<c10d::Work> _allgather_base(torch::Tensor& output, torch::Tensor&,
                                                 const c10d::AllgatherOptions&) override {
    return c10::make_intrusive<PlayedWork>(output, account_);
  }
  c10::intrusive_ptr<c10d::Work> _reduce_scatter_base(torch::Tensor&, torch::Tensor& input,
                                                      const c10d::ReduceScatterOptions&) override {
    return c10::make_intrusive<PlayedWork>(input, account_);
  }

 private:
  Account& account_;
};

TEST_CASE("memory is given back when what uses it was waited for, never before") {
  const auto sharding = GENERATE(Sharding::gradients, Sharding::full);
  const auto reduce_type = GENERATE(torch::kFloat32, torch::kBFloat16);
  Account account;
  Communicator shards(c10::make_intrusive<PlayedBackend>(account), {}),
      replicas(c10::make_intrusive<PlayedBackend>(account), {});
  ZebraModel model(small_model(), ParameterMemory::placeholder);
  ShardedUnit unit(model->units()[1], {sharding, torch::kFloat32, reduce_type},
                   ProcessGroups{&shards, &replicas}, torch::kCPU, /*seed=*/1);
  for (int step = 0; step < 2; ++step) {
    unit.zero_gradients();
    for (const bool last : {false, true}) {
      unit.start_gather();
      unit.free_weights();  // gathered for nothing
      unit.finish_gather();
      unit.prepare_gradients();
      unit.free_weights();
      unit.start_reduction();
      unit.finish_reduction(last);
    }
    unit.finish_step();
    unit.start_publishing();
    unit.finish_publishing();
  }
  REQUIRE(account.begun >= 2 * (2 + 1));
  REQUIRE(account.awaited == account.begun);
  REQUIRE(account.without_memory == 0);
}

}  // namespace
}  // namespace zebra
