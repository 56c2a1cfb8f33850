#include "distributed/launch.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace zebra {
namespace {

constexpr int kUnknown = -1;  // a value that is missing or wrong; a noted problem goes with it

// Ports of jobs. Linux hands out 32768 to 60999 to clients: one of those may be taken.
constexpr int kFirstPort = 20000;
constexpr int kPorts = 4000;

/// The environment as one launcher fills it. Notes every variable that is missing or wrong.
class LauncherEnvironment {
 public:
  explicit LauncherEnvironment(const VariableLookup& lookup) : lookup_(lookup) {}

  std::optional<std::string> find(const std::string& name) const {
    auto value = lookup_(name);
    return value && !value->empty() ? value : std::nullopt;
  }

  std::string text(const std::string& name) {
    const auto value = find(name);
    if (!value) problem(name + " is not set");
    return value.value_or("");
  }

  int number(const std::string& name, int least, int most = std::numeric_limits<int>::max()) {
    const std::string digits = text(name);
    if (digits.empty()) return kUnknown;
    int value = 0;
    const char* const end = digits.data() + digits.size();
    const auto [rest, error] = std::from_chars(digits.data(), end, value);
    if (error == std::errc() && rest == end && value >= least && value <= most) return value;
    const bool bounded = most != std::numeric_limits<int>::max();
    problem(name + " is '" + digits + "', expected a whole number " +
            (bounded ? "from " + std::to_string(least) + " to " + std::to_string(most)
                     : "of at least " + std::to_string(least)));
    return kUnknown;
  }

  /// A number below `count`, which was read from `count_name`.
  int index(const std::string& name, const std::string& count_name, int count) {
    const int value = number(name, 0);
    if (value != kUnknown && count != kUnknown && value >= count) {
      problem(name + " is " + std::to_string(value) + ", expected less than the " +
              std::to_string(count) + " of " + count_name);
    }
    return value;
  }

  void problem(const std::string& text) { problems_.push_back(text); }
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  const VariableLookup& lookup_;
  std::vector<std::string> problems_;
};

int port_from(std::int64_t identity) { return kFirstPort + static_cast<int>(identity % kPorts); }

/// MASTER_PORT, or else the one that `port_of_job` chooses.
int store_port(LauncherEnvironment& environment, const std::function<int()>& port_of_job) {
  return environment.find("MASTER_PORT") ? environment.number("MASTER_PORT", 1, 65535)
                                         : port_of_job();
}

/// MASTER_ADDR, or else this host where it holds all ranks, or else what `host_of_rank_0` finds.
std::string store_address(LauncherEnvironment& environment, const Launch& launch,
                          const std::function<std::string()>& host_of_rank_0) {
  if (const auto address = environment.find("MASTER_ADDR")) return *address;
  const bool several_hosts = launch.local_ranks != kUnknown && launch.local_ranks < launch.ranks;
  return several_hosts ? host_of_rank_0() : Launch().store_address;
}

void complete_torchrun(LauncherEnvironment& environment, Launch& launch) {
  launch.local_ranks = environment.number("LOCAL_WORLD_SIZE", 1);
  launch.local_rank = environment.index("LOCAL_RANK", "LOCAL_WORLD_SIZE", launch.local_ranks);
  launch.store_address = environment.text("MASTER_ADDR");
  launch.store_port = environment.number("MASTER_PORT", 1, 65535);
  launch.job = environment.find("TORCHELASTIC_RUN_ID").value_or("");
  launch.store_is_elsewhere = environment.find("TORCHELASTIC_USE_AGENT_STORE") == "True";
  if (launch.store_is_elsewhere) {  // that store outlives the ranks; PyTorch uses this prefix too
    const int attempt = environment.number("TORCHELASTIC_RESTART_COUNT", 0);
    launch.store_prefix = "/worker/attempt_" + std::to_string(attempt);
  }
}

void complete_mpirun(LauncherEnvironment& environment, Launch& launch) {
  launch.local_ranks = environment.number("OMPI_COMM_WORLD_LOCAL_SIZE", 1);
  launch.local_rank = environment.index("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE",
                                        launch.local_ranks);
  launch.job = environment.find("PMIX_NAMESPACE").value_or("");
  launch.store_address = store_address(environment, launch, [&] {
    environment.problem(
        "MASTER_ADDR is not set, and mpirun does not tell on which of several hosts rank 0 runs: "
        "give its name to all ranks with mpirun -x MASTER_ADDR=HOST");
    return std::string();
  });
  launch.store_port = store_port(environment, [&] {
    const std::string digest = hash_of(environment.text("PMIX_NAMESPACE"));
    return port_from(std::stoll(digest.substr(0, 8), nullptr, 16));
  });
}

/// The first of a list of hosts as Slurm writes it: node01 of "node[01-04,07],gpu3". Empty when the
/// list is not of this form.
std::string first_host(const std::string& hosts) {
  std::string first;
  for (std::size_t i = 0; i < hosts.size() && hosts[i] != ',';) {
    if (hosts[i] != '[') {
      first += hosts[i++];
      continue;
    }
    const std::size_t close = hosts.find(']', i);
    if (close == std::string::npos) return "";
    first += hosts.substr(i + 1, hosts.find_first_of("-,]", i) - i - 1);
    i = close + 1;
  }
  return first;
}

std::string first_host_of_step(LauncherEnvironment& environment) {
  if (environment.find("SLURM_DISTRIBUTION") == "arbitrary") {
    environment.problem(
        "MASTER_ADDR is not set, and with --distribution=arbitrary srun does not tell on which "
        "host rank 0 runs: export MASTER_ADDR with the name of that host");
    return "";
  }
  const std::string hosts = environment.text("SLURM_STEP_NODELIST");
  const std::string first = first_host(hosts);
  if (!hosts.empty() && first.empty()) {
    environment.problem("SLURM_STEP_NODELIST is '" + hosts + "', expected a list of hosts");
  }
  return first;
}

/// How many ranks this host holds: Slurm lists them, "4,5,6".
int listed_ranks(LauncherEnvironment& environment) {
  const std::string list = environment.text("SLURM_GTIDS");
  if (list.empty()) return kUnknown;
  if (list.find_first_not_of("0123456789,") != std::string::npos) {
    environment.problem("SLURM_GTIDS is '" + list + "', expected ranks with commas between them");
    return kUnknown;
  }
  return 1 + static_cast<int>(std::count(list.begin(), list.end(), ','));
}

void complete_srun(LauncherEnvironment& environment, Launch& launch) {
  launch.local_ranks = listed_ranks(environment);
  launch.local_rank = environment.index("SLURM_LOCALID", "SLURM_GTIDS", launch.local_ranks);
  launch.job = environment.find("SLURM_JOB_ID").value_or("") + "." +
               environment.find("SLURM_STEP_ID").value_or("");
  launch.store_address =
      store_address(environment, launch, [&] { return first_host_of_step(environment); });
  launch.store_port = store_port(environment, [&] {
    const std::int64_t job = environment.number("SLURM_JOB_ID", 0);
    const std::int64_t step = environment.number("SLURM_STEP_ID", 0);
    // 31 shares no factor with kPorts: jobs less than kPorts apart differ, and so do a job's steps.
    return port_from(31 * job + step);
  });
}

struct Launcher {
  const char* name;
  const char* sign;  ///< the variable by which it is recognised
  const char* rank;
  const char* ranks;
  /// Adds what a job of several ranks needs: the place on this host, and the store.
  void (*complete)(LauncherEnvironment& environment, Launch& launch);
};

constexpr Launcher kInnermostFirst[] = {
    {"torchrun", "RANK", "RANK", "WORLD_SIZE", complete_torchrun},
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
     complete_mpirun},
    // SLURM_NTASKS would be wrong: in the shell of an interactive step it counts the whole job.
    {"srun", "SLURM_STEP_ID", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", complete_srun},
    // Batch scripts for srun often export WORLD_SIZE for other programs; without srun or mpirun it
    // is a torchrun environment that lacks RANK.
    {"torchrun", "WORLD_SIZE", "RANK", "WORLD_SIZE", complete_torchrun},
};

Launch read(const Launcher& launcher, const VariableLookup& variable) {
  LauncherEnvironment environment(variable);
  Launch launch;
  launch.launcher = launcher.name;
  launch.ranks = environment.number(launcher.ranks, 1);
  launch.rank = environment.index(launcher.rank, launcher.ranks, launch.ranks);
  if (launch.ranks != 1) {
    launcher.complete(environment, launch);
    if (launch.ranks != kUnknown && launch.local_ranks > launch.ranks) {
      environment.problem(std::to_string(launch.local_ranks) + " ranks on this host, but " +
                          launcher.ranks + " is " + std::to_string(launch.ranks));
    }
  }
  if (!environment.problems().empty()) {
    throw InputError(std::string("this process seems to be a rank that ") + launcher.name +
                     " started (" + launcher.sign + " is set), but its environment is wrong:\n  " +
                     join(environment.problems(), "\n  ") +
                     "\nStart the ranks by torchrun, srun or Open MPI's mpirun (scripts/launch), "
                     "or unset " +
                     launcher.sign + " to train in this process alone");
  }
  return launch.ranks == 1 ? Launch() : launch;
}

}  // namespace

Launch detect_launch(const VariableLookup& variable) {
  for (const Launcher& launcher : kInnermostFirst) {
    if (LauncherEnvironment(variable).find(launcher.sign)) return read(launcher, variable);
  }
  return {};
}

Launch detect_launch() {
  return detect_launch([](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  });
}

}  // namespace zebra
