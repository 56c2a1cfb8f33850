#include "distributed/rank_mesh.h"

#include <algorithm>

#include "distributed/backend_communicator.h"
#include "plan/sharding_cost.h"

namespace zebra {
namespace {

std::shared_ptr<Communicator> make_group(Job& job, const std::string& name, int rank, int size,
                                         const ParallelSection& parallel, torch::Device device) {
  if (size == 1) return make_single_rank();
  // The watchdog gives up first and knows whom to blame; this is for when it cannot.
  const double longest = std::max(parallel.first_step_timeout, parallel.timeout);
  const auto backstop = std::chrono::milliseconds(static_cast<std::int64_t>(2000 * longest));
  const GroupOptions options = {job.store(name),
                                rank,
                                size,
                                backstop,
                                {[&job](const std::string& what) { job.begin_collective(what); },
                                 [&job] { job.end_collective(); }}};
#ifdef ZEBRA_WITH_CUDA
  if (device.is_cuda()) return make_nccl_communicator(options, device);
#endif
  TORCH_INTERNAL_ASSERT(device.is_cpu(), "no collectives for ", device);
  const bool one_host = job.launch().local_ranks == job.ranks();
  return make_gloo_communicator(options, one_host ? "127.0.0.1" : "");
}

}  // namespace

RankMesh::RankMesh(Job& job, const ParallelSection& parallel, torch::Device device) {
  const int rank = job.rank(), ranks = job.ranks();
  const int shards = static_cast<int>(ranks_per_replica(parallel, ranks)),
            replicas = ranks / shards;
  const int replica = rank / shards, part = rank % shards;
  all_ = make_group(job, "all", rank, ranks, parallel, device);
  shards_ = shards == ranks ? all_
                            : make_group(job, "replica-" + std::to_string(replica), part, shards,
                                         parallel, device);
  replicas_ = replicas == ranks ? all_
                                : make_group(job, "part-" + std::to_string(part), replica, replicas,
                                             parallel, device);
}

}  // namespace zebra
