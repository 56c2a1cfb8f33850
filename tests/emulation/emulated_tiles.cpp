#include "emulated_tiles.h"

#include <immintrin.h>

#include <cstring>
#include <stdexcept>
#include <string>

namespace zebra::kernels::emulated_tiles {
namespace {

constexpr int kTiles = 8, kRows = 16, kWords = 16;

struct Tile {
  alignas(64) std::uint32_t words[kRows][kWords];
};

struct State {
  bool is_configured = false;
  std::int64_t products = 0;
  Tile tiles[kTiles];
};
thread_local State state;

void require_configured(const char* instruction) {
  if (!state.is_configured)
    throw std::logic_error(std::string(instruction) + ": this thread has configured no tiles.");
}

#define ZEBRA_AVX2 __attribute__((target("avx2,fma")))

ZEBRA_AVX2 inline __m256 even_elements(__m256i words) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
}
ZEBRA_AVX2 inline __m256 odd_elements(__m256i words) {
  const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000U));
  return _mm256_castsi256_ps(_mm256_and_si256(words, upper));
}

/// A function of its own, so that no arithmetic is moved out of the mode that its caller sets.
ZEBRA_AVX2 __attribute__((noinline)) void multiply_add_in_mode(Tile& sum, const Tile& left,
                                                               const Tile& right) {
  for (int m = 0; m < kRows; ++m) {
    for (int n = 0; n < kWords; n += 8) {
      __m256 even = _mm256_setzero_ps(), odd = _mm256_setzero_ps();
      for (int k = 0; k < kWords; ++k) {
        const __m256i a = _mm256_set1_epi32(static_cast<int>(left.words[m][k])),
                      b = _mm256_load_si256(reinterpret_cast<const __m256i*>(right.words[k] + n));
        even = _mm256_fmadd_ps(even_elements(a), even_elements(b), even);
        odd = _mm256_fmadd_ps(odd_elements(a), odd_elements(b), odd);
      }
      auto* const c = reinterpret_cast<float*>(sum.words[m] + n);
      _mm256_store_ps(c, _mm256_add_ps(_mm256_load_ps(c), _mm256_add_ps(even, odd)));
    }
  }
}

}  // namespace

bool allowed() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

void configure() {
  state.is_configured = true;
  std::memset(state.tiles, 0, sizeof state.tiles);
}

void release() { state.is_configured = false; }

bool are_configured() { return state.is_configured; }

std::int64_t products() { return state.products; }

void load_tile(int tile, const void* rows, std::int64_t stride) {
  require_configured("tileloadd");
  for (int r = 0; r < kRows; ++r)
    std::memcpy(state.tiles[tile].words[r], static_cast<const char*>(rows) + r * stride,
                sizeof state.tiles[tile].words[r]);
}

void store_tile(int tile, void* rows, std::int64_t stride) {
  require_configured("tilestored");
  for (int r = 0; r < kRows; ++r)
    std::memcpy(static_cast<char*>(rows) + r * stride, state.tiles[tile].words[r],
                sizeof state.tiles[tile].words[r]);
}

void zero_tile(int tile) {
  require_configured("tilezero");
  std::memset(&state.tiles[tile], 0, sizeof(Tile));
}

void multiply_add_tiles(int sum, int left, int right) {
  require_configured("tdpbf16ps");
  if (sum == left || sum == right || left == right)
    throw std::logic_error("tdpbf16ps: the three tiles must differ.");
  // Tile instructions round to nearest and take subnormal numbers for zero in any mode of the
  // thread.
  constexpr unsigned kNearestWithoutSubnormals = 0x9fc0;  // exceptions masked, FTZ and DAZ set
  const unsigned mode = _mm_getcsr();
  _mm_setcsr(kNearestWithoutSubnormals);
  multiply_add_in_mode(state.tiles[sum], state.tiles[left], state.tiles[right]);
  _mm_setcsr(mode);
  ++state.products;
}

}  // namespace zebra::kernels::emulated_tiles
