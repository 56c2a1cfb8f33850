#include "products.h"

#include "cpu/amx/products.h"

namespace zebra::bench {

void multiply_repeatedly(int depth, bool accumulates, std::int64_t times) {
  namespace k = zebra::kernels;
  constexpr int kWords = 32;  // of two elements: the stride of a head of 64
  alignas(64) static std::uint32_t a[2 * k::kProductSide * kWords], b[8 * k::kProductSide * kWords];
  alignas(64) static float c[k::kProductSide * k::kTile];
  const k::TileProduct product = {a, kWords, b, k::kTile, c, k::kTile, depth, accumulates};
  const k::ConfiguredTiles configured;
  for (std::int64_t i = 0; i < times; ++i) k::multiply(product);
}

}  // namespace zebra::bench
