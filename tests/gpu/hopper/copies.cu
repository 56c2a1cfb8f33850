// The tensor memory accelerator: where the bytes of a box lie under each swizzle, what becomes of
// what lies outside of the array, and of a box whose bytes are expected late.

#include "answers.h"
#include "tensor_map.h"

namespace zebra::hopper {
namespace {

constexpr int kThreads = 128, kTileBytes = 16384;

struct alignas(64) Parameters {
  TensorMap map;
  int dimensions, x, y, z;
  int bytes;            // of the box
  int expects_late;     // after the copy was started
  std::uint16_t* tile;  // loads: what arrived; stores and additions: what to write
  int* finished;        // 1: the wait ended
};

ZEBRA_DEVICE std::byte* tile_memory() {
  extern __shared__ __align__(1024) unsigned char tile[];
  return reinterpret_cast<std::byte*>(tile);
}

ZEBRA_KERNEL(kThreads, 1) load_kernel(ZEBRA_PARAMETER Parameters p) {
  std::byte* const tile = tile_memory();
  auto* const barrier = reinterpret_cast<Barrier*>(tile + kTileBytes);
  const int thread = kernels::device::thread_index();
  auto* const elements = reinterpret_cast<std::uint16_t*>(tile);
  for (int i = thread; i < kTileBytes / 2; i += kThreads) elements[i] = 0xffff;
  fence_async_proxy();
  if (thread == 0) {
    barrier_init(barrier, 1);
    fence_barrier_init();
  }
  kernels::device::block_barrier();
  if (thread == 0) {
    if (!p.expects_late) arrive_expect(barrier, p.bytes);
    if (p.dimensions == 2) {
      load_box(tile, &p.map, p.x, p.y, barrier);
    } else {
      load_box(tile, &p.map, p.x, p.y, p.z, barrier);
    }
    if (p.expects_late) arrive_expect(barrier, p.bytes);
    *p.finished = (shared_address(tile) & 1023) == 0;
  }
  if (!wait(barrier, 0) && thread == 0) *p.finished = 0;
  for (int i = thread; i < kTileBytes / 2; i += kThreads) p.tile[i] = elements[i];
}

template <bool kAdds>
ZEBRA_KERNEL(kThreads, 1)
store_kernel(ZEBRA_PARAMETER Parameters p) {
  std::byte* const tile = tile_memory();
  const int thread = kernels::device::thread_index();
  auto* const elements = reinterpret_cast<std::uint16_t*>(tile);
  for (int i = thread; i < p.bytes / 2; i += kThreads) elements[i] = p.tile[i];
  fence_async_proxy();
  kernels::device::block_barrier();
  if (thread == 0) {
    if (kAdds) {
      add_box(&p.map, p.x, p.y, tile);
    } else {
      store_box(&p.map, p.x, p.y, tile);
    }
    finish_stores();
  }
}

/// An array [tokens, heads, width] of bfloat16 and a box [box_tokens, 1 head, box_width] of it.
struct Load {
  const char* what;
  int tokens, heads, width;
  int box_tokens, box_width;
  Swizzle swizzle;
  int token, head, column;  // of the box's corner
  bool expects_late = false;
};

std::uint16_t element(const Load& load, const std::vector<std::uint16_t>& array, int token,
                      int column) {
  if (token < 0 || token >= load.tokens || column < 0 || column >= load.width) return 0;
  return array[static_cast<std::size_t>((token * load.heads + load.head) * load.width + column)];
}

bool is_as_expected(const Load& load, const std::vector<std::uint16_t>& array,
                    const std::vector<std::uint16_t>& tile) {
  for (int row = 0; row < load.box_tokens; ++row)
    for (int column = 0; column < load.box_width; ++column) {
      const int offset = swizzled(2 * (row * load.box_width + column), load.swizzle);
      if (tile[static_cast<std::size_t>(offset / 2)] !=
          element(load, array, load.token + row, load.column + column))
        return false;
    }
  return true;
}

void ask(const Load& load) {
  const auto array = as_bfloat16(
      small_numbers(static_cast<std::size_t>(load.tokens * load.heads * load.width), 3));
  const DeviceArray<std::uint16_t> source(array), tile(std::size_t{kTileBytes / 2});
  const DeviceArray<int> finished(std::vector<int>{0});
  const auto size = [](int x) { return static_cast<cuuint64_t>(x); };
  const auto part = [](int x) { return static_cast<cuuint32_t>(x); };
  Parameters p{};
  if (load.heads == 1) {
    p.map = tensor_map(source.data(), {size(load.width), size(load.tokens)}, {size(2 * load.width)},
                       {part(load.box_width), part(load.box_tokens)}, load.swizzle);
    p.dimensions = 2, p.x = load.column, p.y = load.token;
  } else {
    p.map = tensor_map(source.data(), {size(load.width), size(load.heads), size(load.tokens)},
                       {size(2 * load.width), size(2 * load.width * load.heads)},
                       {part(load.box_width), 1, part(load.box_tokens)}, load.swizzle);
    p.dimensions = 3, p.x = load.column, p.y = load.head, p.z = load.token;
  }
  p.bytes = 2 * load.box_tokens * load.box_width;
  p.expects_late = load.expects_late;
  p.tile = tile.data();
  p.finished = finished.data();
  kernels::device::launch(load_kernel, {}, kThreads, kTileBytes + 1024, p, nullptr);
  const auto arrived = tile.values();
  answer(load.what, finished.values()[0] == 1 && is_as_expected(load, array, arrived));
}

/// A box of 64 x 64 to the end of an array of 100 x 64, 40 of its rows outside.
void ask_stores() {
  const auto values = as_bfloat16(small_numbers(64 * 64, 5));
  std::vector<std::uint16_t> permuted(values.size());
  for (int i = 0; i < 64 * 64; ++i)
    permuted[static_cast<std::size_t>(swizzled(2 * i, Swizzle::k128) / 2)] =
        values[static_cast<std::size_t>(i)];
  const DeviceArray<std::uint16_t> tile(permuted),
      array(std::vector<std::uint16_t>(164 * 64, 0x7fff));
  Parameters p{};
  p.map = tensor_map(array.data(), {64, 100}, {128}, {64, 64}, Swizzle::k128);
  p.y = 60, p.bytes = 8192, p.tile = tile.data();
  kernels::device::launch(store_kernel<false>, {}, kThreads, kTileBytes, p, nullptr);
  const auto written = array.values();
  bool inside = true, outside = true;
  for (std::size_t i = 0; i < written.size(); ++i) {
    const bool in_box = i >= 60 * 64 && i < 100 * 64;
    if (in_box) inside = inside && written[i] == values[i - 60 * 64];
    if (!in_box) outside = outside && written[i] == 0x7fff;
  }
  answer("a stored box is turned back from its swizzle", inside);
  answer("a stored box is clipped at the end of the array", outside);
}

void ask_addition() {
  const auto numbers = small_numbers(32 * 32, 7);
  const DeviceArray<float> tile(numbers), sums(numbers);
  Parameters p{};
  p.map = tensor_map(sums.data(), {32, 32}, {128}, {32, 32}, Swizzle::kNone, /*is_float32=*/true);
  p.bytes = 4096, p.tile = reinterpret_cast<std::uint16_t*>(tile.data());
  kernels::device::launch(store_kernel<true>, {}, kThreads, kTileBytes, p, nullptr);
  const auto written = sums.values();
  bool right = true;
  for (std::size_t i = 0; i < written.size(); ++i) right = right && written[i] == 2 * numbers[i];
  answer("a box of float32 is added to what is there", right);
}

}  // namespace

void ask_copies() {
  const Load loads[] = {
      {"a box without swizzle lies row by row", 70, 1, 64, 64, 64, Swizzle::kNone, 3, 0, 0},
      {"swizzle of 128 bytes: bits 4-6 ^= bits 7-9", 70, 1, 64, 64, 64, Swizzle::k128, 3, 0, 0},
      {"swizzle of 64 bytes: bits 4-5 ^= bits 7-8", 70, 1, 32, 64, 32, Swizzle::k64, 3, 0, 0},
      {"swizzle of 32 bytes: bit 4 ^= bit 7", 70, 1, 16, 64, 16, Swizzle::k32, 3, 0, 0},
      {"rows behind the array are zeros, and count as bytes", 70, 1, 64, 64, 64, Swizzle::k128, 40,
       0, 0},
      {"rows before the array are zeros, and count as bytes", 70, 1, 64, 64, 64, Swizzle::k128, -9,
       0, 0},
      {"a box wholly outside is zeros, and counts as bytes", 70, 1, 64, 64, 64, Swizzle::k128, 500,
       0, 0},
      {"columns behind the array are zeros (D = 96 in two boxes)", 70, 1, 96, 64, 64, Swizzle::k128,
       3, 0, 64},
      {"one head of a packed projection as a box of three dimensions", 70, 6, 128, 64, 64,
       Swizzle::k128, 40, 4, 64},
      {"bytes may be expected after their copy began", 70, 1, 64, 64, 64, Swizzle::k128, 3, 0, 0,
       true}};
  for (const auto& load : loads) ask(load);
  ask_stores();
  ask_addition();
}

}  // namespace zebra::hopper
