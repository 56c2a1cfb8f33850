// The host's half of a launch (csrc_kernels/cuda/device_launch.h) without a GPU: the functions of
// CUDA's runtime that it calls are played here. Exits with 1 where one is called wrongly.

#include "device_launch.h"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <tuple>
#include <utility>
#include <vector>

namespace {

int device = 0;
cudaError_t answer_of_launch = cudaSuccess, answer_of_attribute = cudaSuccess;
cudaError_t last_error = cudaSuccess;
std::vector<std::tuple<const void*, int, int>> attributes;  // kernel, device, bytes
int launches = 0;

cudaError_t remembered(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

struct Parameters {
  int x;
};
void small_kernel(Parameters) {}
void large_kernel(Parameters) {}

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::exit(1);
}

bool throws(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::runtime_error&) {
    return true;
  }
  return false;
}

}  // namespace

extern "C" {
cudaError_t cudaGetDevice(int* current) {
  *current = device;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? 9 : 0;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int bytes) {
  attributes.emplace_back(kernel, device, bytes);
  return remembered(answer_of_attribute);
}
cudaError_t cudaLaunchKernel(const void*, dim3, dim3, void**, std::size_t, cudaStream_t) {
  ++launches;
  return remembered(answer_of_launch);
}
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t) { return "an error"; }
}

int main() {
  namespace device_side = zebra::kernels::device;
  const auto launch = [](void (*kernel)(Parameters), int shared_bytes) {
    device_side::launch(kernel, device_side::Grid{2, 3, 1}, 64, shared_bytes, Parameters{1},
                        nullptr);
  };
  for (int i = 0; i < 3; ++i) launch(small_kernel, 48 << 10);
  expect(launches == 3 && attributes.empty(), "48 KiB are asked for by nobody");
  for (int i = 0; i < 3; ++i) launch(large_kernel, 65536);
  expect(launches == 6 && attributes.size() == 1, "once for a kernel");
  launch(small_kernel, 65536);
  expect(attributes.size() == 2, "once for each kernel");
  device = 1;
  for (int i = 0; i < 2; ++i) launch(large_kernel, 65536);
  expect(attributes.size() == 3 && std::get<1>(attributes.back()) == 1, "once for each device");
  launch(large_kernel, 70000);
  expect(attributes.size() == 4 && std::get<2>(attributes.back()) == 70000, "more is asked for");

  device = 2;
  answer_of_attribute = cudaErrorInvalidValue;
  launches = 0;
  expect(throws([&] { launch(large_kernel, 65536); }), "a refusal throws");
  expect(launches == 0 && cudaGetLastError() == cudaSuccess, "and is not found again");
  answer_of_attribute = cudaSuccess;
  attributes.clear();
  launch(large_kernel, 65536);
  expect(attributes.size() == 1, "what was refused is asked for again");

  answer_of_launch = cudaErrorInvalidConfiguration;
  expect(throws([&] { launch(small_kernel, 0); }), "a launch that fails throws");
  expect(cudaGetLastError() == cudaSuccess, "and is not found by the next check");
  expect(device_side::compute_capability() == 90, "compute capability");
}
