#pragma once

#include <vector>

#include "distributed/job.h"
#include "distributed/sharded_unit.h"

namespace zebra {

/// Compares a hash of the weights in memory between all ranks that hold the same ones. They are
/// equal to the bit unless a machine is faulty or a computation is not deterministic. Throws
/// RunError on every rank, naming units and ranks, when they are not.
void check_replicas(Job& job, const std::vector<ShardedUnit>& units, const RankGroups& groups);

}  // namespace zebra
