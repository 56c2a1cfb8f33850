// A block as a Hopper kernel has it: a warpgroup that brings tiles through a ring of barriers and
// gives registers away, and two that take them and multiply.

#include "answers.h"
#include "warpgroup_product.h"

namespace zebra::hopper {
namespace {

constexpr int kThreads = 384, kConsumers = 256, kStages = 3, kTiles = 20;
constexpr int kTileBytes = 2 * 64 * 64;

struct Parameters {
  const std::uint8_t* tiles;  // [kTiles] of B, K innermost, swizzle 128
  const std::uint16_t* a;     // [128, 16]: rows 64 of each consumer
  float* out;                 // [128, 64]
  int* finished;              // [3]: by warpgroup
};

struct Ring {
  std::byte* tiles;
  Barrier *full, *empty;
};

ZEBRA_DEVICE bool produce(const Parameters& p, const Ring& ring) {
  decrease_registers<24>();
  bool finished = true;
  if (kernels::device::thread_index() == 0) {
    for (int i = 0; i < kTiles; ++i) {
      const int stage = i % kStages;
      finished = finished && wait(ring.empty + stage, i / kStages % 2 ^ 1);
      arrive_expect(ring.full + stage, kTileBytes);
      load_bytes(ring.tiles + stage * kTileBytes, p.tiles + i * kTileBytes, kTileBytes,
                 ring.full + stage);
    }
  }
  return finished;
}

ZEBRA_DEVICE bool consume(const Parameters& p, const Ring& ring) {
  increase_registers<240>();
  const int thread = kernels::device::thread_index() - 128, lane = thread % 32;
  const int row = 64 * (thread / 128) + 16 * (thread / 32 % 4) + lane / 4;
  std::uint32_t a[4];
#pragma unroll
  for (int i = 0; i < 4; ++i)
    a[i] = *reinterpret_cast<const std::uint32_t*>(p.a + (row + 8 * (i % 2)) * 16 + 2 * (lane % 4) +
                                                   8 * (i / 2));
  float c[32] = {};
  bool finished = true;
  for (int i = 0; i < kTiles; ++i) {
    const int stage = i % kStages;
    finished = finished && wait(ring.full + stage, i / kStages % 2);
    product_fence();
    multiply_add<false>(c, a, descriptor(ring.tiles + stage * kTileBytes, 16, 1024, Swizzle::k128));
    commit_products();
    wait_products<0>();
    named_barrier(1, kConsumers);
    arrive(ring.empty + stage);
  }
#pragma unroll
  for (int i = 0; i < 32; ++i)
    p.out[(row + 8 * (i / 2 % 2)) * 64 + 8 * (i / 4) + 2 * (lane % 4) + i % 2] = c[i];
  return finished;
}

ZEBRA_KERNEL(kThreads, 1) ring_kernel(ZEBRA_PARAMETER Parameters p) {
  extern __shared__ __align__(1024) unsigned char memory[];
  const Ring ring = {reinterpret_cast<std::byte*>(memory),
                     reinterpret_cast<Barrier*>(memory + kStages * kTileBytes),
                     reinterpret_cast<Barrier*>(memory + kStages * kTileBytes) + kStages};
  const int thread = kernels::device::thread_index();
  if (thread == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      barrier_init(ring.full + stage, 1);
      barrier_init(ring.empty + stage, kConsumers);
    }
    fence_barrier_init();
  }
  kernels::device::block_barrier();
  if (thread < 128) {
    const bool finished = produce(p, ring);
    if (thread == 0) p.finished[0] = finished;
  } else {
    const bool finished = consume(p, ring);
    if (thread % 128 == 0) p.finished[thread / 128] = finished;
  }
}

}  // namespace

void ask_registers() {
  const auto a = small_numbers(128 * 16, 17), b = small_numbers(kTiles * 64 * 64, 19);
  // Only the first 16 of a tile's 64 columns are multiplied.
  std::vector<std::uint8_t> tiles(b.size() * 2);
  const auto elements = as_bfloat16(b);
  for (int i = 0; i < kTiles * 64 * 64; ++i)
    __builtin_memcpy(&tiles[static_cast<std::size_t>(swizzled(2 * i, Swizzle::k128))],
                     &elements[static_cast<std::size_t>(i)], 2);
  const DeviceArray<std::uint8_t> tile_memory(tiles);
  const DeviceArray<std::uint16_t> a_memory(as_bfloat16(a));
  const DeviceArray<float> out(std::vector<float>(128 * 64, -1e30F));
  const DeviceArray<int> finished(std::vector<int>(3, 0));
  kernels::device::launch(
      ring_kernel, {}, kThreads,
      kStages * kTileBytes + 2 * kStages * static_cast<int>(sizeof(Barrier)),
      Parameters{tile_memory.data(), a_memory.data(), out.data(), finished.data()}, nullptr);
  const auto c = out.values();
  bool right = true;
  for (int row = 0; row < 128; ++row)
    for (int column = 0; column < 64; ++column) {
      float sum = 0;
      for (int tile = 0; tile < kTiles; ++tile)
        for (int k = 0; k < 16; ++k)
          sum += a[static_cast<std::size_t>(row * 16 + k)] *
                 b[static_cast<std::size_t>((tile * 64 + column) * 64 + k)];
      right = right && c[static_cast<std::size_t>(row * 64 + column)] == sum;
    }
  const auto ends = finished.values();
  answer("a ring of full and empty barriers keeps a producer and two consumers going",
         ends[0] == 1 && ends[1] == 1 && ends[2] == 1);
  answer("with 24 and 240 registers a thread they multiply what was brought", right);
}

}  // namespace zebra::hopper
