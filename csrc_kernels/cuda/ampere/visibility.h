#pragma once

#include "products.h"

// Which tiles and which parts of tiles hold a visible pair: query t sees the keys first_key[t] ..
// t.

namespace zebra::kernels::ampere {

ZEBRA_DEVICE int smaller(int a, int b) { return a < b ? a : b; }
ZEBRA_DEVICE int larger(int a, int b) { return a > b ? a : b; }

/// The tiles that start at the tokens begin, ... before end; those from free_begin to before
/// free_end need no mask. All are multiples of the tile's length.
struct TileRange {
  int begin, end, free_begin, free_end;

  ZEBRA_DEVICE bool is_free(int first) const { return free_begin <= first && first < free_end; }
};

/// The multiple of kStep at or below, at or above x >= 0.
template <int kStep>
ZEBRA_DEVICE int round_down(int x) {
  return x / kStep * kStep;
}
template <int kStep>
ZEBRA_DEVICE int round_up(int x) {
  return (x + kStep - 1) / kStep * kStep;
}

/// The bounds of the queries first .. first + kCount - 1; `first` is a multiple of 32.
template <int kCount>
ZEBRA_DEVICE VisibleBounds bounds_of(const Prepared& prepared, const Extent& extent, int batch,
                                     int first) {
  const VisibleBounds* bounds =
      prepared.bounds + (extent.padded_row(batch) + first) / kBoundedTokens;
  VisibleBounds all = bounds[0];
#pragma unroll
  for (int i = 1; i < kCount / kBoundedTokens; ++i) {
    all.smallest = smaller(all.smallest, bounds[i].smallest);
    all.largest = larger(all.largest, bounds[i].largest);
  }
  return all;
}

/// Tiles of kKeys keys for the queries first .. first + kQueries - 1.
template <int kQueries, int kKeys>
ZEBRA_DEVICE TileRange key_tiles(const VisibleBounds& bounds, const Extent& extent, int first) {
  TileRange tiles;
  tiles.begin = round_down<kKeys>(bounds.smallest);
  tiles.end = round_up<kKeys>(smaller(first + kQueries, extent.length));
  tiles.free_begin = round_up<kKeys>(bounds.largest);
  tiles.free_end = round_down<kKeys>(first + 1);
  return tiles;
}

/// Tiles of kQueries queries for the keys first .. first + kKeys - 1. Every lane of the warp must
/// call it.
template <int kKeys, int kQueries>
ZEBRA_DEVICE TileRange query_tiles(const Prepared& prepared, const Extent& extent, int batch,
                                   int first, const Lane& lane) {
  const int last = smaller(first + kKeys, extent.length) - 1;
  // The window's reach, cut by documents: beyond the last query that sees a key there is nothing.
  const int reach = smaller(last + extent.window + 1, extent.length);
  TileRange tiles;
  tiles.begin = tiles.end = round_down<kQueries>(first);
  tiles.free_begin = round_up<kQueries>(last);
  tiles.free_end = round_up<kQueries>(reach);
  for (int tile = tiles.begin + lane.lane * kQueries; tile < reach; tile += 32 * kQueries) {
    const VisibleBounds bounds = bounds_of<kQueries>(prepared, extent, batch, tile);
    if (bounds.smallest <= last) tiles.end = tile + kQueries;
    if (bounds.largest > first) tiles.free_end = smaller(tiles.free_end, tile);
  }
#pragma unroll
  for (int mask = 1; mask < 32; mask *= 2) {
    tiles.end = larger(tiles.end, device::shuffle_xor(tiles.end, mask));
    tiles.free_end = smaller(tiles.free_end, device::shuffle_xor(tiles.free_end, mask));
  }
  return tiles;
}

}  // namespace zebra::kernels::ampere
