#pragma once

#include <climits>

#include "rotation.h"
#include "visibility.h"

namespace zebra::kernels::ampere {

/// First visible keys of 32 tokens, with their bounds: one warp's work.
ZEBRA_DEVICE void prepare_visibility(const PrepareParameters& p, int batch, int first,
                                     const Lane& lane) {
  const Extent& extent = p.extent;
  const int token = first + lane.lane;
  int first_key = INT_MAX, largest = 0;
  if (token < extent.length) {
    first_key = larger(token - extent.window, 0);
    if (p.first_token != nullptr) {
      first_key = larger(
          first_key, static_cast<int>(
                         p.first_token[static_cast<std::int64_t>(batch) * extent.length + token]));
    }
    largest = first_key;
  }
  p.prepared.first_key[extent.padded_row(batch) + token] = first_key;
  int smallest = first_key;
#pragma unroll
  for (int mask = 1; mask < 32; mask *= 2) {
    smallest = smaller(smallest, device::shuffle_xor(smallest, mask));
    largest = larger(largest, device::shuffle_xor(largest, mask));
  }
  if (lane.lane == 0) {
    p.prepared.bounds[(extent.padded_row(batch) + first) / kBoundedTokens] = {smallest, largest};
  }
}

/// Eight neighbouring columns of a key and their eight partners, turned.
ZEBRA_DEVICE void rotate_words(device::Words& low, device::Words& high, const RotaryRow& row,
                               int j) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    FloatPair low_pair = unpack(low.w[i]), high_pair = unpack(high.w[i]);
    row.turn(j + 2 * i, low_pair, high_pair);
    low.w[i] = pack(low_pair), high.w[i] = pack(high_pair);
  }
}

/// Rotates the keys of 32 tokens once, for every query tile that will read them, and finds what
/// each token sees. Grid: x groups of 32 tokens of the padded length, y sequences.
template <int D>
ZEBRA_KERNEL(kPrepareThreads, 1)
prepare_kernel(ZEBRA_PARAMETER PrepareParameters p) {
  const Extent& extent = p.extent;
  const int first = device::block_index_x() * kBoundedTokens, batch = device::block_index_y();
  const Lane lane;
  if (lane.warp == 0) prepare_visibility(p, batch, first, lane);

  constexpr int kPairs = D / 16;  // of 16-byte chunks
  const std::uint16_t* const k = p.k.data + batch * p.k.batch_stride;
  for (int i = device::thread_index(); i < kBoundedTokens * extent.key_heads * kPairs;
       i += kPrepareThreads) {
    // Neighbouring threads read neighbouring chunks, then heads, as a packed projection stores
    // them.
    const int chunk = i % kPairs, head = i / kPairs % extent.key_heads;
    const int token = first + i / kPairs / extent.key_heads;
    device::Words low = {}, high = {};
    if (token < extent.length) {
      const std::uint16_t* row = k + token * p.k.token_stride + head * p.k.head_stride;
      low = device::load_words(row + 8 * chunk);
      high = device::load_words(row + 8 * chunk + D / 2);
      if (p.rotary.cos != nullptr) {
        rotate_words(low, high, RotaryRow(p.rotary, batch, token), 8 * chunk);
      }
    }
    std::uint16_t* const row = p.prepared.key_rows<D>(extent, batch, head, token);
    device::store_words(row + 8 * chunk, low);
    device::store_words(row + 8 * chunk + D / 2, high);
  }
}

}  // namespace zebra::kernels::ampere
