// The lane layouts of device.h on a real GPU: what the emulation and the PTX interpreter both take
// from the documentation. Prints what each lane holds, which is compared with primitives.golden.

#include <cstdio>
#include <cstring>
#include <vector>

#include "device.h"
#include "gpu/gpu_check.h"

namespace zebra::kernels {
namespace {

struct Parameters {
  const std::uint16_t* matrix;  // [16, 16] bfloat16
  std::uint32_t* loaded;        // [32, 4]
  std::uint32_t* transposed;    // [32, 4]
  float* product;               // [32, 4]: matrix x the first 8 rows of matrix, transposed
};

ZEBRA_KERNEL(32, 1) layout_kernel(ZEBRA_PARAMETER Parameters p) {
  const int lane = device::thread_index();
  std::byte* const shared = device::shared_memory();
  device::copy_async(shared + 16 * lane, p.matrix + 8 * lane, true);
  device::commit_copies();
  device::wait_copies<0>();
  device::warp_barrier();
  // Rows of 32 bytes; rows first: a left operand.
  const std::byte* row = shared + 32 * (lane & 15) + 16 * (lane >> 4);
  std::uint32_t a[4], b[4];
  device::load_matrices(a, row);
  device::load_matrices_transposed(b, row);
  for (int i = 0; i < 4; ++i) p.loaded[4 * lane + i] = a[i], p.transposed[4 * lane + i] = b[i];
  // Columns first: a right operand, transposed as it lies.
  device::load_matrices(b,
                        shared + 32 * ((lane & 7) + ((lane >> 4) << 3)) + 16 * ((lane >> 3) & 1));
  float c[4] = {};
  device::multiply_add(c, a, b[0], b[1]);
  for (int i = 0; i < 4; ++i) p.product[4 * lane + i] = c[i];
}

template <class T>
T* mapped(std::size_t count) {
  return static_cast<T*>(testing::MappedMemory::allocate(count * sizeof(T)));
}

int run() {
  Parameters p{};
  auto* matrix = mapped<std::uint16_t>(256);
  // 0 .. 255 are exact in bfloat16.
  for (int i = 0; i < 256; ++i) {
    const float x = static_cast<float>(i);
    std::uint32_t bits;
    std::memcpy(&bits, &x, 4);
    matrix[i] = static_cast<std::uint16_t>(bits >> 16);
  }
  p.matrix = matrix;
  p.loaded = mapped<std::uint32_t>(128);
  p.transposed = mapped<std::uint32_t>(128);
  p.product = mapped<float>(128);
  device::launch(layout_kernel, device::Grid{}, 32, 512, p, nullptr);
  device::check_cuda(cudaDeviceSynchronize(), "the kernel failed");
  const auto print = [](const char* name, int lane, const auto& value) {
    std::printf("%s %d:", name, lane);
    for (int i = 0; i < 4; ++i) value(i);
    std::printf("\n");
  };
  const auto pair = [](std::uint32_t bits) {
    std::uint32_t low = bits << 16, high = bits & 0xffff0000u;
    float x, y;
    std::memcpy(&x, &low, 4), std::memcpy(&y, &high, 4);
    std::printf(" %g,%g", x, y);
  };
  for (int lane = 0; lane < 32; ++lane) {
    print("load_matrices", lane, [&](int i) { pair(p.loaded[4 * lane + i]); });
    print("load_matrices_transposed", lane, [&](int i) { pair(p.transposed[4 * lane + i]); });
    print("multiply_add", lane, [&](int i) { std::printf(" %.0f", p.product[4 * lane + i]); });
  }
  return 0;
}

}  // namespace
}  // namespace zebra::kernels

int main() { return zebra::kernels::testing::exit_status_of(zebra::kernels::run); }
