#pragma once

#include <functional>
#include <optional>
#include <string>

namespace zebra {

/// Where this process stands among the processes of the job, as its launcher tells by the
/// environment.
struct Launch {
  std::string launcher;  ///< "torchrun", "mpirun", "srun", or "" for a process on its own
  int rank = 0;
  int ranks = 1;
  int local_rank = 0;  ///< among the ranks of this host
  int local_ranks = 1;
  std::string store_address = "127.0.0.1";  ///< of the key-value store in which the ranks meet
  int store_port = 0;
  std::string job;  ///< what the launcher calls this job ("4711.0"); empty where it does not tell
  bool store_is_elsewhere = false;  ///< the launcher serves the store: rank 0 connects like all
  std::string store_prefix;  ///< of all keys: keeps the attempts of a restarting launcher apart
};

/// An environment variable's value, or nothing where it is not set.
using VariableLookup = std::function<std::optional<std::string>(const std::string& name)>;

/// Reads what the launcher set; nobody configures it a second time. Of nested launchers the
/// innermost counts, so they are looked for in this order:
///
/// 1. torchrun (RANK), which srun or mpirun may have started once a host. Its agent serves the
///    store.
/// 2. Open MPI's mpirun (OMPI_COMM_WORLD_RANK), which in a Slurm job of several hosts starts its
///    ranks from within a step of srun. It tells nobody where rank 0 runs: several hosts need
///    `mpirun -x MASTER_ADDR=HOST`.
/// 3. srun (SLURM_STEP_ID; batch scripts and the shells of salloc have SLURM_NTASKS too, but run
///    once). Rank 0 is on the first host of the step, unless srun was told an arbitrary
///    distribution: then MASTER_ADDR is needed.
///
/// Ranks on one host meet at 127.0.0.1. The port follows from the job's identity, so that jobs on
/// one host do not meet each other, and lies below the ports that Linux hands out to clients.
/// MASTER_ADDR and MASTER_PORT win over both. A job of one rank is a process on its own. A variable
/// that is set but empty counts as not set.
///
/// Throws one InputError that names the launcher and everything that is missing or contradictory.
Launch detect_launch(const VariableLookup& variable);

/// Of this process's environment.
Launch detect_launch();

}  // namespace zebra
