#include "base/random.h"

#include <xxhash.h>

#include <bit>
#include <cmath>
#include <numbers>

namespace zebra {
namespace {

constexpr int kPhiloxRounds = 10;
constexpr std::uint64_t kFeistelRounds = 4;

std::uint64_t combine(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t pair[2] = {a, b};
  return XXH3_64bits(pair, sizeof pair);
}

}  // namespace

RandomStream RandomStream::named(std::uint64_t seed, std::string_view name, std::uint64_t index) {
  return RandomStream(combine(combine(seed, XXH3_64bits(name.data(), name.size())), index));
}

std::array<std::uint32_t, 4> RandomStream::words(std::uint64_t counter) const {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  std::array<std::uint32_t, 4> c = {static_cast<std::uint32_t>(counter),
                                    static_cast<std::uint32_t>(counter >> 32), 0, 0};
  auto key0 = static_cast<std::uint32_t>(key_);
  auto key1 = static_cast<std::uint32_t>(key_ >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const std::uint64_t product0 = kMultiplier0 * c[0];
    const std::uint64_t product1 = kMultiplier1 * c[2];
    c = {static_cast<std::uint32_t>(product1 >> 32) ^ c[1] ^ key0,
         static_cast<std::uint32_t>(product1),
         static_cast<std::uint32_t>(product0 >> 32) ^ c[3] ^ key1,
         static_cast<std::uint32_t>(product0)};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return c;
}

std::uint64_t RandomStream::bits(std::uint64_t index) const {
  const auto w = words(index);
  return (std::uint64_t{w[1]} << 32) | w[0];
}

double RandomStream::uniform(std::uint64_t index) const {
  return static_cast<double>(bits(index) >> 11) * 0x1.0p-53;
}

double RandomStream::normal(std::uint64_t index) const {
  const auto w = words(index);
  const double radius_bits = static_cast<double>((std::uint64_t{w[1]} << 32) | w[0]);
  const double angle_bits = static_cast<double>((std::uint64_t{w[3]} << 32) | w[2]);
  const double u = (radius_bits + 1.0) * 0x1.0p-64;  // in (0, 1]: its logarithm is finite
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * angle_bits * 0x1.0p-64);
}

Permutation::Permutation(std::uint64_t size, std::uint64_t key)
    : size_(size),
      half_bits_((static_cast<unsigned>(std::bit_width(size - 1)) + 1) / 2),
      stream_(key) {
  if (half_bits_ == 0) half_bits_ = 1;
}

std::uint64_t Permutation::operator()(std::uint64_t index) const {
  const std::uint64_t half_mask = (std::uint64_t{1} << half_bits_) - 1;
  std::uint64_t value = index;
  do {
    std::uint64_t left = value >> half_bits_;
    std::uint64_t right = value & half_mask;
    for (std::uint64_t round = 0; round < kFeistelRounds; ++round) {
      const std::uint64_t mixed = left ^ (stream_.bits((round << 56) ^ right) & half_mask);
      left = right;
      right = mixed;
    }
    value = (left << half_bits_) | right;
  } while (value >= size_);
  return value;
}

}  // namespace zebra
