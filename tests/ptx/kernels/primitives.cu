// Small kernels out of the primitives of device.h, for the tests of the interpreter.

#include "device.h"

namespace zebra::kernels::device {

constexpr int kThreads = 64;

ZEBRA_DEVICE int lane() { return thread_index() % 32; }
ZEBRA_DEVICE int global_thread() { return block_index_x() * kThreads + thread_index(); }

struct MatricesParameters {
  const std::uint16_t* rows;    // [warps, 32, 8]
  std::uint32_t* fragments[2];  // [warps, 32, 4]: as they are and transposed
};

/// What each lane gets of four matrices whose rows lie in shared memory in turn.
extern "C" ZEBRA_KERNEL(kThreads, 1) matrices(ZEBRA_PARAMETER MatricesParameters p) {
  std::byte* row = shared_memory() + 16 * thread_index();
  store_words(row, load_words(p.rows + 8 * thread_index()));
  warp_barrier();
  std::uint32_t m[4], t[4];
  load_matrices(m, row);
  load_matrices_transposed(t, row);
  for (int i = 0; i < 4; ++i) {
    p.fragments[0][4 * thread_index() + i] = m[i];
    p.fragments[1][4 * thread_index() + i] = t[i];
  }
}

struct ProductParameters {
  const std::uint16_t* a;  // [16, 16]
  const std::uint16_t* b;  // [16, 8]
  const float* c;          // [16, 8]
  float* result;
  int skipped_lane;  // takes no part in the product
};

/// A B + C, its fragments put together element by element.
extern "C" ZEBRA_KERNEL(32, 1) product(ZEBRA_PARAMETER ProductParameters p) {
  const int g = lane() / 4, q = 2 * (lane() % 4);
  const auto pair = [](std::uint16_t low, std::uint16_t high) {
    return static_cast<std::uint32_t>(high) << 16 | low;
  };
  const auto a = [&](int row, int column) {
    return pair(p.a[16 * row + column], p.a[16 * row + column + 1]);
  };
  const auto b = [&](int row, int column) {
    return pair(p.b[8 * row + column], p.b[8 * (row + 1) + column]);
  };
  const std::uint32_t left[4] = {a(g, q), a(g + 8, q), a(g, q + 8), a(g + 8, q + 8)};
  float c[4] = {p.c[8 * g + q], p.c[8 * g + q + 1], p.c[8 * (g + 8) + q], p.c[8 * (g + 8) + q + 1]};
  if (lane() != p.skipped_lane) multiply_add(c, left, b(q, g), b(q + 8, g));
  p.result[8 * g + q] = c[0], p.result[8 * g + q + 1] = c[1];
  p.result[8 * (g + 8) + q] = c[2], p.result[8 * (g + 8) + q + 1] = c[3];
}

struct CopyParameters {
  const std::byte* source;  // [rounds, threads, 16]
  std::byte* target;
  int rounds, present;  // threads from `present` on copy nothing
};

/// Brings each round to shared memory while the one before is written out.
template <int kPending>
ZEBRA_DEVICE void copy(const CopyParameters& p) {
  const int bytes = 16 * kThreads, mine = 16 * thread_index();
  for (int round = 0; round <= p.rounds; ++round) {
    if (round < p.rounds) {
      const bool present = thread_index() < p.present;
      copy_async(shared_memory() + round % 2 * bytes + mine,
                 p.source + (present ? round * bytes : 0) + mine, present);
    }
    commit_copies();
    if (round == 0) continue;
    wait_copies<kPending>();
    store_words(p.target + (round - 1) * bytes + mine,
                load_words(shared_memory() + (round - 1) % 2 * bytes + mine));
  }
}
extern "C" ZEBRA_KERNEL(kThreads, 1) copy_and_wait(ZEBRA_PARAMETER CopyParameters p) { copy<1>(p); }
extern "C" ZEBRA_KERNEL(kThreads, 1) copy_too_late(ZEBRA_PARAMETER CopyParameters p) { copy<2>(p); }

struct SumParameters {
  const float* x;
  float* sum;       // of the warp, in each lane
  int* iterations;  // of the loop, summed over the warp
};

/// Lanes go through a loop a different number of times, then sum what they have.
extern "C" ZEBRA_KERNEL(kThreads, 1) sum(ZEBRA_PARAMETER SumParameters p) {
  float x = p.x[global_thread()];
  int iterations = 0;
#pragma unroll 1
  while (x > 1.0F) {
    ++iterations;
#pragma unroll 1
    for (int i = 0; i < iterations % 3; ++i) x -= 0.125F;
    if (iterations % 4 == lane() % 4) continue;
    x *= 0.75F;
  }
  for (int mask = 1; mask < 32; mask *= 2) {
    x += shuffle_xor(x, mask);
    iterations += shuffle_xor(iterations, mask);
  }
  p.sum[global_thread()] = x;
  p.iterations[global_thread()] = iterations;
}

struct MapParameters {
  const float* x;
  float *exp2, *log2, *reciprocal, *square_root, *natural_log;
  float *fused, *same;    // x x - 1; x by way of bits
  std::uint32_t* packed;  // x of this thread in the low half, of the next in the high half
  float *low, *high;      // of packed
};

extern "C" ZEBRA_KERNEL(kThreads, 1) map(ZEBRA_PARAMETER MapParameters p) {
  const int i = global_thread();
  p.exp2[i] = device::exp2(p.x[i]);
  p.log2[i] = device::log2(p.x[i]);
  p.reciprocal[i] = reciprocal(p.x[i]);
  p.square_root[i] = square_root(p.x[i]);
  p.natural_log[i] = natural_log(p.x[i]);
  p.fused[i] = fused_multiply_add(p.x[i], p.x[i], -1.0F);
  p.same[i] = from_bits(to_bits(p.x[i]));
  const std::uint32_t packed = pack_bfloat16(p.x[i], p.x[i + 1]);
  p.packed[i] = packed;
  p.low[i] = low_bfloat16(packed);
  p.high[i] = high_bfloat16(packed);
}

struct RotateParameters {
  const int* x;
  int* result;  // x of the thread `distance` further in the block
  int distance;
  int barrier;       // the number of threads that come to the barrier
  int shared_index;  // of the first thread's element in shared memory
};

extern "C" ZEBRA_KERNEL(kThreads, 1) rotate(ZEBRA_PARAMETER RotateParameters p) {
  int* shared = reinterpret_cast<int*>(shared_memory()) + p.shared_index;
  shared[thread_index()] = p.x[global_thread()];
  if (thread_index() < p.barrier) block_barrier();
  p.result[global_thread()] = shared[(thread_index() + p.distance) % kThreads];
}

struct WordsParameters {
  const std::byte* source;
  std::byte* target;
  int offsets[4];  // of the source for a thread, by its number modulo 4
};

extern "C" ZEBRA_KERNEL(kThreads, 1) words(ZEBRA_PARAMETER WordsParameters p) {
  const int offset = p.offsets[thread_index() % 4];
  store_words(p.target + 16 * thread_index(), load_words(p.source + offset));
}

struct PlaceParameters {
  int* result;  // [grid z, y, x, threads]
  int grid_x, grid_y;
};

extern "C" ZEBRA_KERNEL(kThreads, 1) place(ZEBRA_PARAMETER PlaceParameters p) {
  const int block = (block_index_z() * p.grid_y + block_index_y()) * p.grid_x + block_index_x();
  p.result[block * kThreads + thread_index()] = block * 1000 + thread_index();
}

}  // namespace zebra::kernels::device
