#pragma once

// The primitives of device.h on the CPU: every thread of a block is a fiber, blocks run one after
// another, and what a GPU would leave undefined is an error.
//
// `launch` throws std::logic_error if lanes of a warp do not meet in a warp-wide operation, if
// threads of a block do not meet in a barrier, if an address is misaligned or outside shared
// memory, if a thread ends with copies under way, if the kernel writes beyond shared memory, or, in
// a build with ThreadSanitizer, if threads of the grid race. Then the kernel is left by exceptions.

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <source_location>

#define ZEBRA_DEVICE inline
#define ZEBRA_KERNEL(threads, blocks) void
#define ZEBRA_PARAMETER const

struct CUstream_st;  // CUDA's name for a stream; here none is ever made

namespace zebra::kernels::emulation {

using Place = std::source_location;

/// Which thread runs next, and when asynchronous copies are performed.
struct Schedule {
  /// kLate: when a wait forces it; until then the target is NaN. kEarly: at issue. kRandom: at some
  /// moment between these.
  enum class Copies { kLate, kEarly, kRandom };

  /// Seeds 0, 3, 6, ...: a random thread each time. 1, 4, 7, ...: one warp runs until all its
  /// threads wait for the block, then another. 2, 5, 8, ...: the last thread that can run.
  std::uint64_t seed = 0;
  Copies copies = Copies::kLate;
};

/// A deliberate fault in what a primitive does, for tests that must find it.
struct Fault {
  enum class Kind {
    kNone,
    kSkipBlockBarrier,  // block_barrier does nothing
    kSkipWarpBarrier,   // warp_barrier does nothing
    kSkipWait,          // wait_copies does nothing
    kWeakWait,          // wait_copies<N> waits as wait_copies<N + 1>
    kDropCommit,        // commit_copies does nothing
    kSwapA,             // multiply_add takes a[1] for a[2] and a[2] for a[1]
    kSwapB,             // multiply_add takes b0 for b1 and b1 for b0
  };
  static constexpr int kEverySite = -1;

  Kind kind = Kind::kNone;
  /// Which of the primitive's calls in the source: 0 is the one that was reached first.
  int site = kEverySite;
};

/// How launches run while the object lives. Without one: Schedule{}, no fault.
class Conditions {
 public:
  explicit Conditions(Schedule schedule, Fault fault = {});
  ~Conditions();
  Conditions(const Conditions&) = delete;
  Conditions& operator=(const Conditions&) = delete;
};

/// What kernels have done.
struct Counts {
  std::int64_t blocks = 0;
  // Once for each block.
  std::int64_t block_barriers = 0;
  // Once for each warp.
  std::int64_t warp_barriers = 0;
  std::int64_t shuffles = 0;
  std::int64_t matrix_loads = 0;           // of four matrices
  std::int64_t matrix_load_conflicts = 0;  // accesses to shared memory beyond one for each matrix
  std::int64_t multiply_adds = 0;          // of 16 x 8 x 16 products
  // Once for each thread.
  std::int64_t copies = 0;  // of 16 bytes, those of zeros among them
  std::int64_t exp2s = 0;
  std::int64_t log2s = 0;
  std::int64_t reciprocals = 0;
  // How often a Fault has changed what a primitive did.
  std::int64_t faults = 0;
};

/// Sums over all launches since the last call.
Counts take_counts();

/// The thread that is running.
struct Running {
  int thread = 0;
  int block_x = 0, block_y = 0, block_z = 0;
  std::byte* shared_memory = nullptr;
};
extern Running running;

struct Launch {
  int grid_x, grid_y, grid_z, threads, shared_bytes;
  void (*run_thread)(const void* call);
  const void* call;
};
void run(const Launch& launch);

std::uint32_t shuffle_xor(std::uint32_t value, int lane_mask, Place place);
void wait_copies(int pending, Place place);
void require_aligned(const void* address, const char* primitive, Place place);

}  // namespace zebra::kernels::emulation

namespace zebra::kernels::device {

inline int thread_index() { return emulation::running.thread; }
inline int block_index_x() { return emulation::running.block_x; }
inline int block_index_y() { return emulation::running.block_y; }
inline int block_index_z() { return emulation::running.block_z; }
inline std::byte* shared_memory() { return emulation::running.shared_memory; }

void block_barrier(emulation::Place place = emulation::Place::current());
void warp_barrier(emulation::Place place = emulation::Place::current());

inline float shuffle_xor(float value, int lane_mask,
                         emulation::Place place = emulation::Place::current()) {
  return std::bit_cast<float>(
      emulation::shuffle_xor(std::bit_cast<std::uint32_t>(value), lane_mask, place));
}
inline int shuffle_xor(int value, int lane_mask,
                       emulation::Place place = emulation::Place::current()) {
  return std::bit_cast<int>(
      emulation::shuffle_xor(std::bit_cast<std::uint32_t>(value), lane_mask, place));
}

void copy_async(void* shared, const void* global, bool present,
                emulation::Place place = emulation::Place::current());
void commit_copies(emulation::Place place = emulation::Place::current());
template <int kPending>
inline void wait_copies(emulation::Place place = emulation::Place::current()) {
  static_assert(kPending >= 0);
  emulation::wait_copies(kPending, place);
}

void load_matrices(std::uint32_t (&m)[4], const void* row,
                   emulation::Place place = emulation::Place::current());
void load_matrices_transposed(std::uint32_t (&m)[4], const void* row,
                              emulation::Place place = emulation::Place::current());
void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                  emulation::Place place = emulation::Place::current());

float exp2(float x);
float log2(float x);
float reciprocal(float x);
inline float square_root(float x) { return std::sqrt(x); }
inline float natural_log(float x) { return std::log(x); }
inline float fused_multiply_add(float a, float b, float c) { return std::fma(a, b, c); }

inline float from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }
inline std::uint32_t to_bits(float x) { return std::bit_cast<std::uint32_t>(x); }

std::uint32_t pack_bfloat16(float low, float high);
inline float low_bfloat16(std::uint32_t pair) { return std::bit_cast<float>(pair << 16); }
inline float high_bfloat16(std::uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000u); }

/// May alias: on the device, memory has no types.
struct alignas(16) [[gnu::may_alias]] Words {
  std::uint32_t w[4];
};
inline Words load_words(const void* address, emulation::Place place = emulation::Place::current()) {
  emulation::require_aligned(address, "load_words", place);
  return *static_cast<const Words*>(address);
}
inline void store_words(void* address, Words words,
                        emulation::Place place = emulation::Place::current()) {
  emulation::require_aligned(address, "store_words", place);
  *static_cast<Words*>(address) = words;
}

struct Grid {
  int x = 1, y = 1, z = 1;
};
using Stream = CUstream_st*;

inline int compute_capability() { return 80; }

template <class Parameters>
void launch(void (*kernel)(Parameters), Grid grid, int threads, int shared_bytes,
            Parameters parameters, Stream) {
  struct Call {
    void (*kernel)(Parameters);
    const Parameters& parameters;
  };
  const Call call{kernel, parameters};
  emulation::run({grid.x, grid.y, grid.z, threads, shared_bytes,
                  [](const void* pointer) {
                    const auto& made = *static_cast<const Call*>(pointer);
                    made.kernel(made.parameters);
                  },
                  &call});
}

}  // namespace zebra::kernels::device
