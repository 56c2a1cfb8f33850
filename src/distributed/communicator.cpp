#include "distributed/communicator.h"

#include <algorithm>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>
#ifdef USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#else
#include <torch/version.h>
#endif

#include "base/error.h"
#include "distributed/job.h"
#include "ops/cuda_library.h"
#include "ops/part_scope.h"
#include "plan/sharding_cost.h"

namespace zebra {
namespace {

#ifdef USE_C10D_GLOO
c10::intrusive_ptr<c10d::Backend> make_gloo(const GroupOptions& options) {
  auto gloo = c10d::ProcessGroupGloo::Options::create_default(options.timeout);
  if (!options.host.empty())
    gloo->devices = {c10d::ProcessGroupGloo::createDeviceForHostname(options.host)};
  return c10::make_intrusive<c10d::ProcessGroupGloo>(options.store, options.rank, options.size,
                                                     gloo);
}
#else
// cmake/Collectives.cmake warned of it when the build was configured.
c10::intrusive_ptr<c10d::Backend> make_gloo(const GroupOptions& options) {
  throw InputError("this build cannot train on CPUs with " + std::to_string(options.size) +
                   " ranks: the Gloo of LibTorch " TORCH_VERSION
                   " has changed and is not in it; train on one rank or on GPUs, or build with a "
                   "LibTorch that has it (scripts/setup.sh --torch VERSION)");
}
#endif

std::shared_ptr<Communicator> make_group(Job& job, const std::string& name, int rank, int size,
                                         const ParallelSection& parallel, torch::Device device) {
  if (size == 1) return std::make_shared<Communicator>();
  // The watchdog gives up first and knows whom to blame; this is for when it cannot.
  const double longest = std::max(parallel.first_step_timeout, parallel.timeout);
  const auto backstop = std::chrono::milliseconds(static_cast<std::int64_t>(2000 * longest));
  const bool one_host = job.launch().local_ranks == job.ranks();
  return make_communicator({job.store(name),
                            rank,
                            size,
                            backstop,
                            {[&job](const std::string& what) { job.begin_collective(what); },
                             [&job] { job.end_collective(); }},
                            one_host ? "127.0.0.1" : ""},
                           device);
}

}  // namespace

PendingCollective::PendingCollective(c10::intrusive_ptr<c10d::Work> work, torch::Tensor tensor,
                                     std::string name, const CollectiveListener& listener)
    : work_(std::move(work)),
      tensor_(std::move(tensor)),
      name_(std::move(name)),
      listener_(&listener) {}

void PendingCollective::wait() {
  if (work_ == nullptr) return;
  const auto work = std::move(work_);
  if (listener_->waiting) listener_->waiting(name_);
  try {
    ZEBRA_PART("collectives");
    work->wait();
  } catch (const std::exception& error) {
    throw CollectiveError(name_, without_backtrace(error.what()));
  }
  if (listener_->done) listener_->done();
  tensor_.reset();
}

Communicator::Communicator() = default;
Communicator::~Communicator() = default;

Communicator::Communicator(c10::intrusive_ptr<c10d::Backend> backend, CollectiveListener listener)
    : backend_(std::move(backend)),
      listener_(std::move(listener)),
      rank_(backend_->getRank()),
      size_(backend_->getSize()) {}

torch::Tensor Communicator::own_shard(const torch::Tensor& buffer) const {
  TORCH_INTERNAL_ASSERT(buffer.dim() == 1 && buffer.numel() % size_ == 0, "a buffer of ",
                        buffer.sizes(), " has no equal shards for ", size_, " ranks");
  const auto size = buffer.numel() / size_;
  return buffer.narrow(0, rank_ * size, size);
}

PendingCollective Communicator::all_reduce(const torch::Tensor& buffer, const std::string& what) {
  if (!backend_) return {};
  std::vector<torch::Tensor> tensors = {buffer};
  return {backend_->allreduce(tensors), buffer, "all-reduce of " + what, listener_};
}

PendingCollective Communicator::reduce_scatter(const torch::Tensor& buffer,
                                               const std::string& what) {
  if (!backend_) return {};
  const std::string name = "reduce-scatter of " + what;
  // LibTorch's reduce-scatter over Gloo is an all-reduce of a copy. This one needs no copy.
  if (backend_->getBackendName() == "gloo") {
    std::vector<torch::Tensor> tensors = {buffer};
    return {backend_->allreduce(tensors), buffer, name, listener_};
  }
  auto input = buffer, output = own_shard(buffer);
  return {backend_->_reduce_scatter_base(output, input), buffer, name, listener_};
}

PendingCollective Communicator::all_gather(const torch::Tensor& buffer, const std::string& what) {
  if (!backend_) return {};
  auto output = buffer, input = own_shard(buffer);
  return {backend_->_allgather_base(output, input), buffer, "all-gather of " + what, listener_};
}

PendingCollective Communicator::all_to_all(const torch::Tensor& output, const torch::Tensor& input,
                                           const std::vector<std::int64_t>& to,
                                           const std::vector<std::int64_t>& from,
                                           const std::string& what) {
  if (!backend_) {
    output.copy_(input);
    return {};
  }
  // As bytes: no backend adds anything here, and not every one knows every type.
  const auto bytes_of = [](const torch::Tensor& x) { return x.flatten(1).view(torch::kUInt8); };
  auto arriving = bytes_of(output), leaving = bytes_of(input);
  std::vector<std::int64_t> arriving_rows = from, leaving_rows = to;
  return {backend_->alltoall_base(arriving, leaving, arriving_rows, leaving_rows), output,
          "exchange of " + what, listener_};
}

PendingCollective Communicator::broadcast(const torch::Tensor& tensor, int root,
                                          const std::string& what) {
  if (!backend_) return {};
  std::vector<torch::Tensor> tensors = {tensor};
  c10d::BroadcastOptions options;
  options.rootRank = root;
  return {backend_->broadcast(tensors, options), tensor, "broadcast of " + what, listener_};
}

void Communicator::barrier(const std::string& what) {
  if (!backend_) return;
  PendingCollective(backend_->barrier(), {}, "barrier: " + what, listener_).wait();
}

std::unique_ptr<Communicator> make_communicator(const GroupOptions& options, torch::Device device) {
  if (device.is_cuda()) {
    auto nccl =
        cuda_library().nccl(options.store, options.rank, options.size, options.timeout, device);
    return std::make_unique<Communicator>(std::move(nccl), options.listener);
  }
  TORCH_INTERNAL_ASSERT(device.is_cpu(), "no collectives for ", device);
  return std::make_unique<Communicator>(make_gloo(options), options.listener);
}

DeviceMesh::DeviceMesh(Job& job, const ParallelSection& parallel, torch::Device device) {
  const int rank = job.rank(), ranks = job.ranks();
  const int shards = static_cast<int>(ranks_per_replica(parallel, ranks)),
            replicas = ranks / shards;
  const int replica = rank / shards, shard = rank % shards;
  all_ = make_group(job, "all", rank, ranks, parallel, device);
  shards_ = shards == ranks ? all_
                            : make_group(job, "replica-" + std::to_string(replica), shard, shards,
                                         parallel, device);
  replicas_ = replicas == ranks ? all_
                                : make_group(job, "shard-" + std::to_string(shard), replica,
                                             replicas, parallel, device);
  const int sharing = static_cast<int>(context_ranks(parallel, ranks));
  // A group of its own: what it exchanges must not wait behind weights that are under way.
  context_ = make_group(job, "context-" + std::to_string(rank / sharing), rank % sharing, sharing,
                        parallel, device);
}

}  // namespace zebra
