// What the manual says of Hopper's primitives, asked of a real GPU: whether it is so, before
// kernels are written that need it, and how quick each is. Prints right, wrong or measured for
// each, and ends with 1 where anything was wrong.

#include <sys/wait.h>
#include <unistd.h>

#include "answers.h"

namespace zebra::hopper {
namespace {

constexpr int kNotForThisMachine = 77;
bool all_right = true;

int check_card() {
  int major = 0;
  kernels::testing::check_cuda(
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
  if (major != 9) std::printf("this GPU is no Hopper: nothing is asked\n");
  return major == 9 ? 0 : kNotForThisMachine;
}

/// The exit status of `ask` in a process of its own. CUDA is never touched in this one: it would
/// not survive a fork.
template <class Ask>
int status_in_process(const Ask& ask) {
  std::fflush(stdout);
  const auto process = fork();
  if (process == 0) {
    const int status = kernels::testing::exit_status_of(ask);
    std::fflush(stdout);
    _exit(status);
  }
  int status = 0;
  if (process < 0 || waitpid(process, &status, 0) < 0 || !WIFEXITED(status)) return 1;
  return WEXITSTATUS(status);
}

struct Group {
  const char* name;
  void (*ask)();
};

constexpr Group kGroups[] = {{"barriers", ask_barriers},
                             {"copies", ask_copies},
                             {"products", ask_products},
                             {"registers", ask_registers},
                             {"rates", measure_rates}};

bool is_all_right(const Group& group) {
  const int status = status_in_process([&] {
    group.ask();
    return all_right ? 0 : 1;
  });
  if (status != 0) std::printf("wrong: something about %s\n", group.name);
  return status == 0;
}

}  // namespace

void answer(const std::string& what, bool right) {
  std::printf("%s: %s\n", right ? "right" : "wrong", what.c_str());
  std::fflush(stdout);
  all_right = all_right && right;
}

void measured(const std::string& what, double value, const std::string& unit) {
  std::printf("measured: %s: %.4g %s\n", what.c_str(), value, unit.c_str());
  std::fflush(stdout);
}

void note(const std::string& what, bool holds) {
  std::printf("note: %s: %s\n", what.c_str(), holds ? "yes" : "no");
  std::fflush(stdout);
}

}  // namespace zebra::hopper

int main() {
  using namespace zebra::hopper;
  if (const int status = status_in_process(check_card); status != 0) return status;
  bool right = true;
  for (const auto& group : kGroups) right = is_all_right(group) && right;
  return right ? 0 : 1;
}
