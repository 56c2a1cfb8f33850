// Two Gloo ranks, as threads of this process, add a tensor: the declarations beside this file fit
// the library. Run when CMake configures a build.

#define USE_C10D_GLOO 1
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <thread>

namespace {

bool sums_ranks(const c10::intrusive_ptr<c10d::Store>& store, int rank) {
  auto options = c10d::ProcessGroupGloo::Options::create_default(std::chrono::seconds(60));
  options->devices = {c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")};
  c10d::ProcessGroupGloo group(store, rank, 2, options);
  group.setTimeout(std::chrono::seconds(50));
  std::vector<at::Tensor> tensors = {at::full({3}, rank + 1.0)};
  group.allreduce(tensors)->wait();
  return (tensors[0] == 3.0).all().item<bool>();
}

}  // namespace

int main() {
  const c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::HashStore>();
  bool second = false;
  std::thread other([&] { second = sums_ranks(store, 1); });
  const bool first = sums_ranks(store, 0);
  other.join();
  return first && second ? 0 : 1;
}
