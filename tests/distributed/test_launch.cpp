#include "distributed/launch.h"

#include <cstdlib>
#include <map>
#include <set>

#include "base/error.h"
#include "support/catch.h"

namespace zebra {
namespace {

using Catch::Matchers::Contains;
using Variables = std::map<std::string, std::string>;

// What the launchers set, as far as it matters here; recorded from torchrun 2.11, Open MPI 4.1.4
// and Slurm 22.05.
const Variables kTorchrun = {{"RANK", "2"},
                             {"WORLD_SIZE", "3"},
                             {"LOCAL_RANK", "2"},
                             {"LOCAL_WORLD_SIZE", "3"},
                             {"MASTER_ADDR", "localhost"},
                             {"MASTER_PORT", "41105"},
                             {"TORCHELASTIC_RESTART_COUNT", "0"},
                             {"TORCHELASTIC_RUN_ID", "none"},
                             {"TORCHELASTIC_USE_AGENT_STORE", "True"}};
const Variables kMpirun = {{"OMPI_COMM_WORLD_RANK", "2"},       {"OMPI_COMM_WORLD_SIZE", "3"},
                           {"OMPI_COMM_WORLD_LOCAL_RANK", "2"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "3"},
                           {"OMPI_UNIVERSE_SIZE", "2"},         {"PMIX_NAMESPACE", "1966735361"}};
const Variables kBatchScript = {{"SLURM_JOB_ID", "2"}, {"SLURM_JOB_NODELIST", "node[1-2]"},
                                {"SLURM_NTASKS", "4"}, {"SLURM_NPROCS", "4"},
                                {"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"},
                                {"SLURM_GTIDS", "0"},  {"SLURM_NODEID", "0"},
                                {"SLURM_JOBID", "2"},  {"SLURM_NTASKS_PER_NODE", "2"},
                                {"SLURM_NNODES", "2"}};
const Variables kSrun = {{"SLURM_JOB_ID", "7"},
                         {"SLURM_NTASKS", "3"},
                         {"SLURM_PROCID", "2"},
                         {"SLURM_LOCALID", "0"},
                         {"SLURM_NODEID", "1"},
                         {"SLURM_GTIDS", "2"},
                         {"SLURM_STEP_ID", "0"},
                         {"SLURM_STEP_NUM_TASKS", "3"},
                         {"SLURM_STEP_NODELIST", "node[1-2]"},
                         {"SLURM_STEP_TASKS_PER_NODE", "2,1"}};

/// The later ones win.
Variables together(Variables variables, const Variables& others) {
  for (const auto& [name, value] : others) variables[name] = value;
  return variables;
}

Variables without(Variables variables, const std::string& name) {
  REQUIRE(variables.erase(name) == 1);
  return variables;
}

Launch detect(const Variables& variables) {
  return detect_launch([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

std::string error_of(const Variables& variables) {
  try {
    detect(variables);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

bool alone(const Launch& launch) {
  return launch.launcher.empty() && launch.rank == 0 && launch.ranks == 1 &&
         launch.local_rank == 0 && launch.local_ranks == 1 && !launch.store_is_elsewhere;
}

TEST_CASE("a process without a launcher is on its own") {
  REQUIRE(alone(detect({})));
  REQUIRE(alone(detect({{"RANK", ""}, {"WORLD_SIZE", ""}})));
  REQUIRE(alone(detect({{"MASTER_ADDR", "gpu1"}, {"MASTER_PORT", "29500"}})));
}

TEST_CASE("torchrun's ranks meet in the store of its agent") {
  const Launch launch = detect(kTorchrun);
  REQUIRE(launch.launcher == "torchrun");
  REQUIRE(launch.rank == 2);
  REQUIRE(launch.ranks == 3);
  REQUIRE(launch.local_rank == 2);
  REQUIRE(launch.local_ranks == 3);
  REQUIRE(launch.store_address == "localhost");
  REQUIRE(launch.store_port == 41105);
  REQUIRE(launch.store_is_elsewhere);
  REQUIRE(launch.store_prefix == "/worker/attempt_0");
}

TEST_CASE("an agent that restarted its ranks gives them other keys") {
  const auto restarted = together(kTorchrun, {{"TORCHELASTIC_RESTART_COUNT", "1"}});
  REQUIRE(detect(restarted).store_prefix == "/worker/attempt_1");
  REQUIRE_THAT(error_of(without(restarted, "TORCHELASTIC_RESTART_COUNT")),
               Contains("TORCHELASTIC_RESTART_COUNT is not set"));
}

TEST_CASE("rank 0 serves the store where torchrun's agent does not") {
  for (const auto& variables : {without(kTorchrun, "TORCHELASTIC_USE_AGENT_STORE"),
                                together(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "False"}})}) {
    REQUIRE_FALSE(detect(variables).store_is_elsewhere);
    REQUIRE(detect(variables).store_prefix.empty());
  }
}

TEST_CASE("mpirun's ranks on one host need no address, and rank 0 serves the store") {
  const Launch launch = detect(kMpirun);
  REQUIRE(launch.launcher == "mpirun");
  REQUIRE(launch.rank == 2);
  REQUIRE(launch.ranks == 3);
  REQUIRE(launch.local_rank == 2);
  REQUIRE(launch.local_ranks == 3);
  REQUIRE(launch.store_address == "127.0.0.1");
  REQUIRE(launch.job == kMpirun.at("PMIX_NAMESPACE"));
  REQUIRE_FALSE(launch.store_is_elsewhere);
  REQUIRE(launch.store_prefix.empty());
}

TEST_CASE("mpirun's ranks agree on a port, other jobs have another, below the clients' ports") {
  std::set<int> ports;
  for (int job = 0; job < 100; ++job) {
    const std::string name = std::to_string(1966735361 + 65536 * job);
    const int port = detect(together(kMpirun, {{"PMIX_NAMESPACE", name}})).store_port;
    REQUIRE(port >= 1024);
    REQUIRE(port < 32768);
    const Variables other_rank = {{"PMIX_NAMESPACE", name}, {"OMPI_COMM_WORLD_RANK", "0"}};
    REQUIRE(detect(together(kMpirun, other_rank)).store_port == port);
    ports.insert(port);
  }
  REQUIRE(ports.size() > 90);
  // Open MPI 5 writes names that are no numbers.
  REQUIRE(detect(together(kMpirun, {{"PMIX_NAMESPACE", "prterun-host-77@1"}})).store_port >= 1024);
  REQUIRE_THAT(error_of(without(kMpirun, "PMIX_NAMESPACE")), Contains("PMIX_NAMESPACE is not set"));
}

TEST_CASE("mpirun on several hosts needs MASTER_ADDR") {
  const auto two_hosts =
      together(kMpirun, {{"OMPI_COMM_WORLD_LOCAL_RANK", "0"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "1"}});
  REQUIRE_THAT(error_of(two_hosts), Contains("mpirun -x MASTER_ADDR=HOST"));
  const Launch launch = detect(together(two_hosts, {{"MASTER_ADDR", "gpu1"}}));
  REQUIRE(launch.store_address == "gpu1");
  REQUIRE(launch.local_ranks == 1);
  REQUIRE(launch.store_port == detect(kMpirun).store_port);
}

TEST_CASE("srun's ranks meet on the first host of their step") {
  const Launch launch = detect(kSrun);
  REQUIRE(launch.launcher == "srun");
  REQUIRE(launch.rank == 2);
  REQUIRE(launch.ranks == 3);
  REQUIRE(launch.local_rank == 0);
  REQUIRE(launch.local_ranks == 1);
  REQUIRE(launch.store_address == "node1");
  REQUIRE_FALSE(launch.store_is_elsewhere);
  const Launch other = detect(
      together(kSrun, {{"SLURM_PROCID", "1"}, {"SLURM_LOCALID", "1"}, {"SLURM_GTIDS", "0,1"}}));
  REQUIRE(other.local_rank == 1);
  REQUIRE(other.local_ranks == 2);
  REQUIRE(other.store_address == "node1");
  REQUIRE(other.store_port == launch.store_port);
}

TEST_CASE("the first host of Slurm's lists") {
  const std::map<std::string, std::string> first = {{"node[01-04,07],gpu3", "node01"},
                                                    {"node[07,01-04]", "node07"},
                                                    {"gpu3,node[01-04]", "gpu3"},
                                                    {"rack[1-2]node[3,5]", "rack1node3"},
                                                    {"node[09-10]-ib,gpu3", "node09-ib"}};
  for (const auto& [hosts, host] : first) {
    REQUIRE(detect(together(kSrun, {{"SLURM_STEP_NODELIST", hosts}})).store_address == host);
  }
  REQUIRE_THAT(error_of(together(kSrun, {{"SLURM_STEP_NODELIST", "node[01-04"}})),
               Contains("SLURM_STEP_NODELIST is 'node[01-04'"));
}

TEST_CASE("srun on one host needs no address") {
  const auto one_host = together(
      kSrun,
      {{"SLURM_LOCALID", "2"}, {"SLURM_GTIDS", "0,1,2"}, {"SLURM_STEP_NODELIST", "unresolvable"}});
  REQUIRE(detect(one_host).store_address == "127.0.0.1");
}

TEST_CASE("where srun puts rank 0 anywhere, MASTER_ADDR is needed") {
  const auto arbitrary = together(kSrun, {{"SLURM_DISTRIBUTION", "arbitrary"}});
  REQUIRE_THAT(error_of(arbitrary), Contains("--distribution=arbitrary"));
  REQUIRE(detect(together(arbitrary, {{"MASTER_ADDR", "node2"}})).store_address == "node2");
}

TEST_CASE("jobs and steps of Slurm that share a host have different ports") {
  std::set<int> ports;
  for (int job = 1000000; job < 1000100; ++job) {
    for (int step = 0; step < 10; ++step) {
      const int port = detect(together(kSrun, {{"SLURM_JOB_ID", std::to_string(job)},
                                               {"SLURM_STEP_ID", std::to_string(step)}}))
                           .store_port;
      REQUIRE(port >= 1024);
      REQUIRE(port < 32768);
      ports.insert(port);
    }
  }
  REQUIRE(ports.size() == 1000);
}

TEST_CASE("inside a Slurm job but not under srun a process is on its own") {
  REQUIRE(alone(detect(kBatchScript)));
  // The shell that salloc opens as an interactive step, with the number of tasks of the whole job.
  REQUIRE(alone(detect(
      together(kBatchScript, {{"SLURM_STEP_ID", "4294967290"}, {"SLURM_STEP_NUM_TASKS", "1"}}))));
}

TEST_CASE("a job of one rank is a process on its own") {
  REQUIRE(alone(detect({{"RANK", "0"}, {"WORLD_SIZE", "1"}})));
  REQUIRE(alone(detect({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}})));
  REQUIRE_THAT(error_of({{"RANK", "1"}, {"WORLD_SIZE", "1"}}), Contains("RANK is 1"));
}

TEST_CASE("MASTER_ADDR and MASTER_PORT win") {
  const Variables given = {{"MASTER_ADDR", "10.0.0.1"}, {"MASTER_PORT", "29501"}};
  for (const auto& variables : {kTorchrun, kMpirun, kSrun}) {
    REQUIRE(detect(together(variables, given)).store_address == "10.0.0.1");
    REQUIRE(detect(together(variables, given)).store_port == 29501);
    for (const std::string wrong : {"0", "65536", "-1", "http"}) {
      REQUIRE_THAT(error_of(together(variables, {{"MASTER_ADDR", "a"}, {"MASTER_PORT", wrong}})),
                   Contains("MASTER_PORT is '" + wrong + "', expected a whole number from 1"));
    }
  }
}

TEST_CASE("variables that are set but empty count as not set") {
  const Variables empty = {{"MASTER_ADDR", ""}, {"MASTER_PORT", ""}};
  for (const auto& variables : {kMpirun, kSrun}) {
    REQUIRE(detect(together(variables, empty)).store_address == detect(variables).store_address);
    REQUIRE(detect(together(variables, empty)).store_port == detect(variables).store_port);
  }
  REQUIRE_THAT(error_of(together(kTorchrun, empty)), Contains("MASTER_ADDR is not set"));
}

TEST_CASE("of nested launchers the innermost counts") {
  REQUIRE(detect(together(kSrun, kTorchrun)).launcher == "torchrun");
  REQUIRE(detect(together(kMpirun, kTorchrun)).launcher == "torchrun");
  REQUIRE(detect(together(kSrun, kMpirun)).launcher == "mpirun");
  REQUIRE(detect(together(kBatchScript, kMpirun)).launcher == "mpirun");
  REQUIRE(detect(together(kBatchScript, kSrun)).launcher == "srun");
  // Written into batch scripts for other programs.
  REQUIRE(detect(together(kSrun, {{"WORLD_SIZE", "3"}})).launcher == "srun");
}

TEST_CASE("one message names the launcher and all that is missing or wrong") {
  const std::string missing = error_of({{"RANK", "0"}});
  REQUIRE_THAT(missing, Contains("a rank that torchrun started (RANK is set)"));
  for (const std::string name :
       {"WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) {
    REQUIRE_THAT(missing, Contains("\n  " + name + " is not set"));
  }
  REQUIRE_THAT(error_of({{"WORLD_SIZE", "4"}}), Contains("\n  RANK is not set"));

  const std::string wrong = error_of(
      together(kTorchrun, {{"RANK", "3"}, {"LOCAL_RANK", "4"}, {"LOCAL_WORLD_SIZE", "4"}}));
  REQUIRE_THAT(wrong, Contains("\n  RANK is 3, expected less than the 3 of WORLD_SIZE"));
  REQUIRE_THAT(wrong, Contains("\n  LOCAL_RANK is 4, expected less than the 4 of"));
  REQUIRE_THAT(wrong, Contains("\n  4 ranks on this host, but WORLD_SIZE is 3"));
}

TEST_CASE("values that are no numbers") {
  for (const std::string value : {"-1", "1x", " 1", "1.5", "99999999999"}) {
    REQUIRE_THAT(error_of(together(kTorchrun, {{"RANK", value}})),
                 Contains("RANK is '" + value + "', expected a whole number of at least 0"));
  }
  REQUIRE_THAT(error_of(together(kTorchrun, {{"WORLD_SIZE", "0"}})), Contains("WORLD_SIZE is '0'"));
  REQUIRE_THAT(error_of(together(kSrun, {{"SLURM_GTIDS", "0-2"}})), Contains("SLURM_GTIDS is"));
}

TEST_CASE("a wrong number of local ranks does not ask for an address as well") {
  const std::string error = error_of(without(kMpirun, "OMPI_COMM_WORLD_LOCAL_SIZE"));
  REQUIRE_THAT(error, Contains("OMPI_COMM_WORLD_LOCAL_SIZE is not set"));
  REQUIRE_THAT(error, !Contains("MASTER_ADDR"));
}

TEST_CASE("every variable that a launcher's ranks need is named when it is missing") {
  for (const std::string name :
       {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"}) {
    REQUIRE_THAT(error_of(without(kMpirun, name)), Contains("\n  " + name + " is not set"));
  }
  for (const std::string name : {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID",
                                 "SLURM_GTIDS", "SLURM_STEP_NODELIST", "SLURM_JOB_ID"}) {
    const std::string error = error_of(without(kSrun, name));
    REQUIRE_THAT(error, Contains("\n  " + name + " is not set"));
    REQUIRE_THAT(error, Contains("srun"));
  }
}

TEST_CASE("the process's own environment is read") {
  for (const auto& [name, value] : kTorchrun)
    REQUIRE(::setenv(name.c_str(), value.c_str(), 1) == 0);
  const Launch launch = detect_launch();
  for (const auto& [name, value] : kTorchrun) REQUIRE(::unsetenv(name.c_str()) == 0);
  REQUIRE(launch.rank == 2);
  REQUIRE(launch.store_port == 41105);
}

}  // namespace
}  // namespace zebra
