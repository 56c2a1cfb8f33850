#include "emulation/diagnosis.h"

#include <cstring>
#include <utility>
#include <vector>

#include "emulation/machine.h"

namespace zebra::kernels::emulation {
namespace {

std::string state(const Thread& thread) {
  switch (thread.state) {
    case Thread::State::kWaiting:
      return std::string("in ") + name(thread.operation) + " at " + name(thread.place);
    case Thread::State::kFinished:
      return "finished";
    case Thread::State::kReady:
      break;
  }
  return "running";
}

/// The set bits, as "0-3, 8".
std::string ranges(std::uint32_t lanes) {
  std::string text;
  for (int lane = 0; lane < kLanes; ++lane) {
    if ((lanes >> lane & 1) == 0) continue;
    int last = lane;
    while (last + 1 < kLanes && (lanes >> (last + 1) & 1) != 0) ++last;
    text += (text.empty() ? "" : ", ") + std::to_string(lane);
    if (last > lane) text += "-" + std::to_string(last);
    lane = last;
  }
  return text;
}

std::string describe_warp(const Thread* threads) {
  std::vector<std::pair<std::string, std::uint32_t>> states;
  for (int lane = 0; lane < kLanes; ++lane) {
    const std::string own = state(threads[lane]);
    std::size_t i = 0;
    while (i < states.size() && states[i].first != own) ++i;
    if (i == states.size()) states.emplace_back(own, 0);
    states[i].second |= 1u << lane;
  }
  std::string text;
  for (const auto& [own, lanes] : states)
    text += (text.empty() ? "lanes " : "; lanes ") + ranges(lanes) + " " + own;
  return text;
}

}  // namespace

const char* name(Operation operation) {
  switch (operation) {
    case Operation::kBlockBarrier:
      return "block_barrier";
    case Operation::kWarpBarrier:
      return "warp_barrier";
    case Operation::kShuffle:
      return "shuffle_xor";
    case Operation::kLoadMatrices:
      return "load_matrices";
    case Operation::kLoadMatricesTransposed:
      return "load_matrices_transposed";
    case Operation::kMultiplyAdd:
      break;
  }
  return "multiply_add";
}

std::string name(const Place& place) {
  const char* const slash = std::strrchr(place.file_name(), '/');
  return (slash != nullptr ? slash + 1 : place.file_name()) + (":" + std::to_string(place.line()));
}

bool same(const Place& a, const Place& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

std::string describe(const Thread* threads, int first_warp, int warps) {
  std::string text;
  for (int warp = first_warp; warp < first_warp + warps; ++warp)
    text += "\n  warp " + std::to_string(warp) + ": " + describe_warp(threads + warp * kLanes);
  return text;
}

}  // namespace zebra::kernels::emulation
