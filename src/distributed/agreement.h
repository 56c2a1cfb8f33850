#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "distributed/job.h"

namespace zebra {

/// What all ranks of a run must have in common: names and short texts or hashes.
using RunFacts = std::vector<std::pair<std::string, std::string>>;

/// The build, and a hash of each section of the resolved configuration.
RunFacts run_facts(const Config& config);

/// Compares the facts of all ranks. Throws InputError, on the ranks that differ from the first,
/// with the names of what differs. All ranks call it.
void agree(Job& job, const RunFacts& facts);

}  // namespace zebra
