// Runs what moves tiles through shared memory, lane after lane, on a device that only takes down
// addresses, and prints how often a warp's accesses meet in a bank. The device's functions are
// declared by the emulation's header and defined here.

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <set>
#include <stdexcept>
#include <vector>

#include "ampere/configuration.h"
#include "ampere/rotation.h"

namespace {

constexpr int kSharedBytes = 64 * 1024, kLanes = 32, kBanks = 32, kWordBytes = 4;
alignas(128) std::array<std::byte, kSharedBytes> shared;
std::vector<int> offsets;  // of the running lane's accesses, in order

/// Addresses outside of shared memory are none of ours.
void take_down(const void* address) {
  const auto offset = static_cast<const std::byte*>(address) - shared.data();
  if (offset >= 0 && offset < kSharedBytes) offsets.push_back(static_cast<int>(offset));
}

}  // namespace

namespace zebra::kernels::emulation {

Running running;

void require_aligned(const void* address, const char*, Place) { take_down(address); }

}  // namespace zebra::kernels::emulation

namespace zebra::kernels::device {

void copy_async(void* target, const void*, bool, emulation::Place) { take_down(target); }
void load_matrices(std::uint32_t (&)[4], const void* row, emulation::Place) { take_down(row); }
void load_matrices_transposed(std::uint32_t (&)[4], const void* row, emulation::Place) {
  take_down(row);
}
void multiply_add(float (&)[4], const std::uint32_t (&)[4], std::uint32_t, std::uint32_t,
                  emulation::Place) {}
/// Numbers the stores that follow: the first stores 1.
std::uint32_t pack_bfloat16(float, float) {
  static std::uint32_t stores = 0;
  return ++stores;
}

}  // namespace zebra::kernels::device

namespace {

using namespace zebra::kernels;

/// Accesses of whole warps and the times that shared memory is busy with them: one for each set of
/// lanes that it can serve at once, more where two of the set's words lie in one bank.
struct Traffic {
  int accesses = 0, fewest = 0, cycles = 0;
};

/// How often the words at these places, `bytes` long each, need their most wanted bank.
int cycles_of(const std::vector<int>& places, int bytes) {
  std::array<std::set<int>, kBanks> words;
  for (const int place : places) {
    for (int word = place / kWordBytes; word < (place + bytes) / kWordBytes; ++word) {
      words[word % kBanks].insert(word);
    }
  }
  std::size_t most = 0;
  for (const auto& bank : words) most = std::max(most, bank.size());
  return static_cast<int>(most);
}

/// body() runs for each thread of a warp after another. Its accesses are `bytes` long; shared
/// memory serves 128 bytes at once.
template <class Body>
void run_warp(Traffic& traffic, int warp, int bytes, const Body& body) {
  std::array<std::vector<int>, kLanes> of_lanes;
  for (int lane = 0; lane < kLanes; ++lane) {
    emulation::running.thread = warp * kLanes + lane;
    offsets.clear();
    body();
    of_lanes[lane] = offsets;
    if (offsets.size() != of_lanes[0].size()) throw std::logic_error("lanes differ in accesses");
  }
  const int served = std::min(128 / bytes, kLanes);
  for (std::size_t i = 0; i < of_lanes[0].size(); ++i) {
    ++traffic.accesses;
    for (int lane = 0; lane < kLanes; lane += served) {
      std::vector<int> places;
      for (int j = lane; j < lane + served; ++j) places.push_back(of_lanes[j][i]);
      ++traffic.fewest;
      traffic.cycles += cycles_of(places, bytes);
    }
  }
}

void print(const char* access, int head_size, const Traffic& traffic) {
  static bool first = true;
  std::printf(
      "%s{\"access\": \"%s\", \"head_size\": %d, \"accesses\": %d, \"fewest\": %d, "
      "\"cycles\": %d}",
      first ? "[" : ",\n", access, head_size, traffic.accesses, traffic.fewest, traffic.cycles);
  first = false;
}

/// Finds where each 32-bit store of `body` went, by the number that it stored.
template <class Body>
void take_down_stores(int stores, const Body& body) {
  std::memset(shared.data(), 0, shared.size());
  body();
  std::vector<std::pair<std::uint32_t, int>> found;
  for (int offset = 0; offset < kSharedBytes; offset += kWordBytes) {
    std::uint32_t number = 0;
    std::memcpy(&number, shared.data() + offset, sizeof(number));
    if (number != 0) found.emplace_back(number, offset);
  }
  if (static_cast<int>(found.size()) != stores) throw std::logic_error("stores overlap");
  std::sort(found.begin(), found.end());
  for (const auto& [number, offset] : found) offsets.push_back(offset);
}

/// Every 16 x 16 block of a tile of 128 rows, in both orders of its matrices.
template <int D>
void load_blocks() {
  Traffic rows_first, columns_first;
  for (int row = 0; row < ampere::kPaddedTokens; row += 16) {
    for (int column = 0; column < D; column += 16) {
      std::uint32_t m[4];
      run_warp(rows_first, 0, 16, [&] {
        device::load_matrices(
            m, ampere::BlockAddress<D>::rows_first(ampere::Lane()).in(0, row, column));
      });
      run_warp(columns_first, 0, 16, [&] {
        device::load_matrices(
            m, ampere::BlockAddress<D>::columns_first(ampere::Lane()).in(0, row, column));
      });
    }
  }
  print("blocks, rows first", D, rows_first);
  print("blocks, columns first", D, columns_first);
}

/// The products' own reads of right operands.
template <int D>
void multiply() {
  constexpr int kGroups = 4;
  const int tile = ampere::SharedTile<D>::bytes(16);
  Traffic transposed, accumulated;
  run_warp(transposed, 0, 16, [&] {
    ampere::Accumulator<1, 2 * kGroups> c;
    const ampere::RegisterOperand<D, 1> left = {};
    ampere::multiply_transposed<D, 1, kGroups>(
        c, left, tile, ampere::BlockAddress<D>::columns_first(ampere::Lane()), ampere::AllGroups{});
  });
  run_warp(accumulated, 0, 16, [&] {
    ampere::Accumulator<1, D / 8> c = {};
    const ampere::Accumulator<1, 2 * kGroups> left = {};
    ampere::multiply_accumulate<D, 1, kGroups>(
        c, left, tile, ampere::BlockAddress<D>::rows_first(ampere::Lane()), ampere::AllGroups{});
  });
  print("multiply_transposed", D, transposed);
  print("multiply_accumulate", D, accumulated);
}

/// Copies into a tile of kRows rows and stores from it, by all warps of a block.
template <int D, int kRows, int kThreads>
void move_rows(Traffic& copies, Traffic& stores) {
  static std::array<std::uint16_t, kRows * D> memory;
  for (int warp = 0; warp < kThreads / kLanes; ++warp) {
    const auto share = [] { return ampere::RowShare<D, kThreads>(device::thread_index()); };
    run_warp(copies, warp, 16,
             [&] { share().template copy<kRows>(0, share().in(memory.data(), D), D, kRows); });
    run_warp(stores, warp, 16,
             [&] { share().template store<kRows>(0, share().in(memory.data(), D), D, kRows); });
  }
}

template <int D>
void move_tiles() {
  Traffic copies, stores;
  move_rows<D, ampere::ForwardShape<D>::kRows, ampere::ForwardShape<D>::kThreads>(copies, stores);
  move_rows<D, ampere::ForwardShape<D>::kColumns, ampere::ForwardShape<D>::kThreads>(copies,
                                                                                     stores);
  move_rows<D, ampere::QueryGradientShape<D>::kRows, ampere::QueryGradientShape<D>::kThreads>(
      copies, stores);
  move_rows<D, ampere::QueryGradientShape<D>::kColumns, ampere::QueryGradientShape<D>::kThreads>(
      copies, stores);
  move_rows<D, ampere::KeyValueGradientShape<D>::kRows, ampere::KeyValueGradientShape<D>::kThreads>(
      copies, stores);
  move_rows<D, ampere::KeyValueGradientShape<D>::kColumns,
            ampere::KeyValueGradientShape<D>::kThreads>(copies, stores);
  print("copies", D, copies);
  print("stores", D, stores);
}

/// Registers to a tile, two row tiles of a warp.
template <int D>
void put_registers() {
  Traffic accumulators, fragments;
  constexpr int kStores = 2 * 2 * (D / 8);
  run_warp(accumulators, 0, kWordBytes, [&] {
    const ampere::Accumulator<2, D / 8> c = {};
    take_down_stores(kStores, [&] { ampere::put_accumulators<D, 2>(0, c, 1.0F, ampere::Lane()); });
  });
  run_warp(fragments, 0, kWordBytes, [&] {
    ampere::LeftFragments<2, D / 16> numbers;
    for (int i = 0; i < kStores; ++i) (&numbers[0][0][0])[i] = static_cast<std::uint32_t>(i + 1);
    take_down_stores(kStores, [&] { ampere::put_fragments<D, 2>(0, numbers, ampere::Lane()); });
  });
  print("put_accumulators", D, accumulators);
  print("put_fragments", D, fragments);
}

template <int D>
void print_all() {
  load_blocks<D>();
  multiply<D>();
  move_tiles<D>();
  put_registers<D>();
}

}  // namespace

int main() {
  emulation::running.shared_memory = shared.data();
  print_all<32>();
  print_all<64>();
  print_all<96>();
  print_all<128>();
  std::printf("]\n");
}
