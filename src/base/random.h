#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace zebra {

/// Counter-based random numbers: each value is a pure function of (key, index), so it does not
/// depend on threads, ranks, order of calls or restarts. Philox 4x32-10 (Salmon et al., "Parallel
/// random numbers: as easy as 1, 2, 3", SC 2011).
class RandomStream {
 public:
  explicit RandomStream(std::uint64_t key) : key_(key) {}

  /// A stream for one purpose: `name` and `index` tell it from all others of the same seed.
  static RandomStream named(std::uint64_t seed, std::string_view name, std::uint64_t index = 0);

  /// Four independent 32-bit words for a 64-bit counter.
  std::array<std::uint32_t, 4> words(std::uint64_t counter) const;

  std::uint64_t bits(std::uint64_t index) const;

  /// Uniform in [0, 1), 53 random bits.
  double uniform(std::uint64_t index) const;

  /// Standard normal, by Box and Muller in float64.
  double normal(std::uint64_t index) const;

 private:
  std::uint64_t key_;
};

/// A pseudo-random permutation of [0, size) in constant memory: four Feistel rounds over the next
/// even power of two, walked until the value lies inside. Bijective for every size; size must be at
/// least 1.
class Permutation {
 public:
  Permutation(std::uint64_t size, std::uint64_t key);
  std::uint64_t operator()(std::uint64_t index) const;
  std::uint64_t size() const { return size_; }

 private:
  std::uint64_t size_;
  unsigned half_bits_;
  RandomStream stream_;
};

}  // namespace zebra
