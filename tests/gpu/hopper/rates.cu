// How quick each primitive is: of the whole GPU by events, and in a cycle of one multiprocessor by
// its clock. Operands are random: zeros let a GPU run faster.

#include <algorithm>

#include "answers.h"
#include "tensor_map.h"
#include "warpgroup_product.h"

namespace zebra::hopper {
namespace {

using kernels::testing::check_cuda;

constexpr int kStages = 8, kBoxBytes = 8192;

struct alignas(64) Parameters {
  TensorMap map;
  int repetitions;
  int boxes;  // of the array that the map describes
  int* sink;  // [blocks x threads]: keeps what is computed
  long long* cycles;
};

ZEBRA_DEVICE int global_thread(int threads) {
  return kernels::device::block_index_x() * threads + kernels::device::thread_index();
}

class Clock {
 public:
  ZEBRA_DEVICE explicit Clock(const Parameters& p) : p_(p) {
    kernels::device::block_barrier();
    begin_ = clock64();
  }
  ZEBRA_DEVICE ~Clock() {
    kernels::device::block_barrier();
    if (kernels::device::block_index_x() == 0 && kernels::device::thread_index() == 0)
      *p_.cycles = clock64() - begin_;
  }

 private:
  const Parameters& p_;
  long long begin_;
};

/// Random numbers between 1 and 2 in bfloat16.
ZEBRA_DEVICE void fill(std::byte* shared, int bytes, int threads) {
  auto* const words = reinterpret_cast<std::uint32_t*>(shared);
  for (int i = kernels::device::thread_index(); i < bytes / 4; i += threads)
    words[i] = (static_cast<std::uint32_t>(i) * 2654435761u & 0x007f007fu) | 0x3f803f80u;
  fence_async_proxy();
}

constexpr int kProductThreads = 256, kProductsEach = 4;

template <int kColumns, bool kAInRegisters>
ZEBRA_KERNEL(kProductThreads, 1)
product_kernel(ZEBRA_PARAMETER Parameters p) {
  extern __shared__ __align__(1024) unsigned char memory[];
  auto* const shared = reinterpret_cast<std::byte*>(memory);
  fill(shared, 4 * kBoxBytes, kProductThreads);
  const int warpgroup = kernels::device::thread_index() / 128;
  const auto a = descriptor(shared + warpgroup * kBoxBytes, 16, 1024, Swizzle::k128),
             b = descriptor(shared + 2 * kBoxBytes, 16, 1024, Swizzle::k128);
  const std::uint32_t fragment[4] = {0x3f803f81u, 0x3f823f83u, 0x3f843f85u, 0x3f863f87u};
  float c[kColumns / 2] = {};
  {
    const Clock clock(p);
    for (int i = 0; i < p.repetitions; ++i) {
      product_fence();  // ptxas adds it where a loop carries the sums
#pragma unroll
      for (int k = 0; k < kProductsEach; ++k) {
        if constexpr (kAInRegisters) {
          multiply_add<false>(c, fragment, b + 2 * k);
        } else {
          multiply_add<false, false>(c, a + 2 * k, b + 2 * k);
        }
      }
      commit_products();
      wait_products<1>();
    }
    wait_products<0>();
  }
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) sum += c[i];
  p.sink[global_thread(kProductThreads)] = static_cast<int>(sum);
}

constexpr int kThreads = 256, kChains = 8;

/// mma.sync.
ZEBRA_KERNEL(kThreads, 1) warp_product_kernel(ZEBRA_PARAMETER Parameters p) {
  const std::uint32_t a[4] = {0x3f803f81u, 0x3f823f83u, 0x3f843f85u, 0x3f863f87u};
  float c[kChains][4] = {};
  {
    const Clock clock(p);
    for (int i = 0; i < p.repetitions; ++i)
#pragma unroll
      for (int chain = 0; chain < kChains; ++chain)
        kernels::device::multiply_add(c[chain], a, a[chain % 4], a[(chain + 1) % 4]);
  }
  float sum = 0;
#pragma unroll
  for (int chain = 0; chain < kChains; ++chain) sum += c[chain][0] + c[chain][3];
  p.sink[global_thread(kThreads)] = static_cast<int>(sum);
}

/// ldmatrix of 512 bytes without bank conflicts.
ZEBRA_KERNEL(kThreads, 1) load_matrix_kernel(ZEBRA_PARAMETER Parameters p) {
  std::byte* const shared = kernels::device::shared_memory();
  fill(shared, kThreads / 32 * 512, kThreads);
  kernels::device::block_barrier();
  const std::byte* row = shared + 16 * kernels::device::thread_index();
  std::uint32_t sum = 0;
  {
    const Clock clock(p);
    for (int i = 0; i < p.repetitions; ++i)
#pragma unroll
      for (int chain = 0; chain < kChains; ++chain) {
        std::uint32_t m[4];
        kernels::device::load_matrices(m, row);
        sum ^= m[0] ^ m[1] ^ m[2] ^ m[3];
      }
  }
  p.sink[global_thread(kThreads)] = static_cast<int>(sum);
}

template <bool kExponential>
ZEBRA_KERNEL(kThreads, 1)
arithmetic_kernel(ZEBRA_PARAMETER Parameters p) {
  float x[kChains];
#pragma unroll
  for (int chain = 0; chain < kChains; ++chain) x[chain] = 0.1F * static_cast<float>(chain + 1);
  {
    const Clock clock(p);
    for (int i = 0; i < p.repetitions; ++i)
#pragma unroll
      for (int chain = 0; chain < kChains; ++chain)
        x[chain] = kExponential ? kernels::device::exp2(x[chain])
                                : kernels::device::fused_multiply_add(x[chain], 0.5F, 0.25F);
  }
  float sum = 0;
#pragma unroll
  for (int chain = 0; chain < kChains; ++chain) sum += x[chain];
  p.sink[global_thread(kThreads)] = static_cast<int>(sum);
}

constexpr int kCopyThreads = 32;

/// Boxes of 64 x 64, one block's apart from the next's, through a ring.
ZEBRA_KERNEL(kCopyThreads, 1) copy_kernel(ZEBRA_PARAMETER Parameters p, int blocks) {
  extern __shared__ __align__(1024) unsigned char memory[];
  auto* const shared = reinterpret_cast<std::byte*>(memory);
  auto* const full = reinterpret_cast<Barrier*>(shared + kStages * kBoxBytes);
  if (kernels::device::thread_index() != 0) return;
  for (int stage = 0; stage < kStages; ++stage) barrier_init(full + stage, 1);
  fence_barrier_init();
  bool finished = true;
  for (int i = 0; i < p.repetitions + kStages; ++i) {
    const int stage = i % kStages;
    if (i >= kStages) finished = finished && wait(full + stage, (i / kStages - 1) % 2);
    if (i >= p.repetitions) continue;
    const auto box = (static_cast<long long>(i) * blocks + kernels::device::block_index_x()) %
                     static_cast<long long>(p.boxes);
    arrive_expect(full + stage, kBoxBytes);
    load_box(shared + stage * kBoxBytes, &p.map, 0, static_cast<int>(64 * box), full + stage);
  }
  p.sink[kernels::device::block_index_x()] = finished;
}

ZEBRA_KERNEL(32, 1) empty_kernel(ZEBRA_PARAMETER Parameters) {}

class Meter {
 public:
  Meter() : sink_(std::size_t{1} << 20), cycles_(std::size_t{1}) {
    check_cuda(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, 0));
    check_cuda(cudaEventCreate(&begin_));
    check_cuda(cudaEventCreate(&end_));
  }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;
  ~Meter() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }

  int multiprocessors() const { return multiprocessors_; }
  Parameters parameters(int repetitions) const {
    Parameters p{};
    p.repetitions = repetitions, p.sink = sink_.data(), p.cycles = cycles_.data();
    return p;
  }
  /// Seconds of one call, the best of three.
  template <class Launch>
  double seconds(const Launch& launch) const {
    float best = 1e9F;
    for (int i = 0; i < 4; ++i) {
      check_cuda(cudaEventRecord(begin_));
      launch();
      check_cuda(cudaEventRecord(end_));
      check_cuda(cudaEventSynchronize(end_));
      float taken = 0;
      check_cuda(cudaEventElapsedTime(&taken, begin_, end_));
      if (i > 0) best = std::min(best, taken);
    }
    return 1e-3 * static_cast<double>(best);
  }
  /// One block on each multiprocessor, each of which does `work` units in a repetition.
  void rate(const std::string& what, void (*kernel)(Parameters), int threads, int shared_bytes,
            int repetitions, double work, double scale, const std::string& unit) const {
    const auto p = parameters(repetitions);
    const double taken = seconds([&] {
      kernels::device::launch(kernel, {multiprocessors_, 1, 1}, threads, shared_bytes, p, nullptr);
    });
    const double all = work * repetitions;
    measured(what, all * multiprocessors_ / taken / scale, unit);
    measured(what + ", of one multiprocessor in a cycle",
             all / static_cast<double>(cycles_.values()[0]), "");
    measured(what + ", clock", static_cast<double>(cycles_.values()[0]) / taken / 1e9, "GHz");
  }
  bool all_finished() const {
    const auto values = sink_.values();
    return std::all_of(values.begin(), values.begin() + multiprocessors_,
                       [](int value) { return value == 1; });
  }

 private:
  DeviceArray<int> sink_;
  DeviceArray<long long> cycles_;
  int multiprocessors_ = 0;
  cudaEvent_t begin_{}, end_{};
};

void measure_copies(const Meter& meter, const std::string& what, int boxes) {
  const DeviceArray<std::uint8_t> array(static_cast<std::size_t>(boxes) * kBoxBytes);
  auto p = meter.parameters(2000);
  p.boxes = boxes;
  p.map = tensor_map(array.data(), {64, 64 * static_cast<cuuint64_t>(boxes)}, {128}, {64, 64},
                     Swizzle::k128);
  constexpr int kShared = kStages * kBoxBytes + kStages * static_cast<int>(sizeof(Barrier));
  check_cuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(copy_kernel),
                                  cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
  const double taken = meter.seconds([&] {
    copy_kernel<<<meter.multiprocessors(), kCopyThreads, kShared>>>(p, meter.multiprocessors());
  });
  check_cuda(cudaGetLastError());
  measured(what, 2000.0 * kBoxBytes * meter.multiprocessors() / taken / 1e12, "TB/s");
  answer(what + ": all arrived", meter.all_finished());
}

double product_flops(int columns) {
  return 2.0 * kProductThreads / 128 * kProductsEach * 64 * columns * 16;
}

}  // namespace

void measure_rates() {
  const Meter meter;
  constexpr double kTera = 1e12;
  const std::string flops = "TFLOP/s";
  meter.rate("wgmma m64n128k16, A in shared memory", product_kernel<128, false>, kProductThreads,
             4 * kBoxBytes, 8000, product_flops(128), kTera, flops);
  meter.rate("wgmma m64n128k16, A in registers", product_kernel<128, true>, kProductThreads,
             4 * kBoxBytes, 8000, product_flops(128), kTera, flops);
  meter.rate("wgmma m64n64k16, A in shared memory", product_kernel<64, false>, kProductThreads,
             4 * kBoxBytes, 8000, product_flops(64), kTera, flops);
  meter.rate("wgmma m64n64k16, A in registers", product_kernel<64, true>, kProductThreads,
             4 * kBoxBytes, 8000, product_flops(64), kTera, flops);
  meter.rate("mma.sync m16n8k16", warp_product_kernel, kThreads, 0, 20000,
             kThreads / 32 * kChains * 4096.0, kTera, flops);
  meter.rate("ldmatrix", load_matrix_kernel, kThreads, kThreads / 32 * 512, 20000,
             kThreads / 32 * kChains * 512.0, kTera, "TB/s");
  meter.rate("exponentials", arithmetic_kernel<true>, kThreads, 0, 20000, kThreads * kChains, kTera,
             "10^12/s");
  meter.rate("multiply-add in float32", arithmetic_kernel<false>, kThreads, 0, 20000,
             kThreads * kChains, kTera, "10^12/s");
  measure_copies(meter, "TMA from L2, boxes of 64 x 64", 2048);
  measure_copies(meter, "TMA from memory, boxes of 64 x 64", 1 << 19);
  const auto p = meter.parameters(0);
  const double taken = meter.seconds([&] {
    for (int i = 0; i < 1000; ++i) kernels::device::launch(empty_kernel, {}, 32, 0, p, nullptr);
  });
  measured("an empty kernel after another", 1e3 * taken, "us");
}

}  // namespace zebra::hopper
