#pragma once

#include <torch/types.h>

#include <memory>

#include "config/config.h"
#include "distributed/communicator.h"
#include "distributed/job.h"
#include "distributed/sharded_unit.h"

namespace zebra {

/// All ranks of a job, cut into replicas of neighbouring ranks. NCCL connects ranks with GPUs, Gloo
/// those on CPUs. The job must outlive it.
class RankMesh {
 public:
  /// Throws InputError when the ranks cannot be cut so.
  RankMesh(Job& job, const ParallelSection& parallel, torch::Device device);

  Communicator& all() const { return *all_; }
  RankGroups groups() const { return {shards_.get(), replicas_.get()}; }

 private:
  std::shared_ptr<Communicator> all_, shards_, replicas_;
};

}  // namespace zebra
