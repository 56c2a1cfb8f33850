#pragma once

#include "shared_tile.h"

// The tile shapes of each kernel by head size, chosen by the model of scripts/kernel_report.sh; no
// GPU has been asked yet. Two row tiles per warp halve the reads of the right operand, as far as
// the accumulators leave registers for it. Blocks of two warps: all of a block wait for the warp
// whose rows see most of a tile at the edge of the band, so that few rows waste less.

namespace zebra::kernels::ampere {

/// Where a warp's left operands (two in the gradients) stay while it walks over tiles.
enum class LeftOperands { kShared, kSecondInRegisters, kInRegisters };

/// A block of kWarps warps owns kWarps x kRowTiles x 16 rows and walks over tiles of kColumns
/// columns through a ring of kStages tiles. kBlocks: wanted per multiprocessor.
template <int kWarpCount, int kRowTileCount, int kColumnCount, int kStageCount,
          LeftOperands kLeftOperands, int kBlockCount>
struct TileShape {
  static constexpr int kWarps = kWarpCount, kThreads = 32 * kWarpCount, kRowTiles = kRowTileCount;
  static constexpr int kWarpRows = 16 * kRowTiles, kRows = kWarps * kWarpRows;
  static constexpr int kColumns = kColumnCount, kGroups = kColumns / 16, kStages = kStageCount;
  static constexpr bool kFirstInRegisters = kLeftOperands == LeftOperands::kInRegisters;
  static constexpr bool kSecondInRegisters = kLeftOperands != LeftOperands::kShared;
  static constexpr int kBlocks = kBlockCount;
  static_assert(kPaddedTokens % kRows == 0 && kRows % kBoundedTokens == 0);
  static_assert(kPaddedTokens % kColumns == 0 && kColumns % kBoundedTokens == 0);
  static_assert(kStages >= 2);
};

// Rows are queries, columns keys.
template <int D>
struct ForwardShape;
template <>
struct ForwardShape<32> : TileShape<2, 2, 64, 2, LeftOperands::kInRegisters, 4> {};
template <>
struct ForwardShape<64> : TileShape<2, 2, 64, 2, LeftOperands::kShared, 4> {};
template <>
struct ForwardShape<96> : TileShape<2, 2, 32, 2, LeftOperands::kShared, 4> {};
template <>
struct ForwardShape<128> : TileShape<4, 2, 32, 2, LeftOperands::kShared, 2> {};

template <int D>
struct QueryGradientShape;
template <>
struct QueryGradientShape<32> : TileShape<2, 2, 32, 2, LeftOperands::kInRegisters, 4> {};
template <>
struct QueryGradientShape<64> : TileShape<2, 2, 32, 2, LeftOperands::kInRegisters, 4> {};
template <>
struct QueryGradientShape<96> : TileShape<4, 2, 32, 2, LeftOperands::kShared, 2> {};
template <>
struct QueryGradientShape<128> : TileShape<4, 1, 32, 2, LeftOperands::kInRegisters, 2> {};

// Rows are keys, columns queries.
template <int D>
struct KeyValueGradientShape;
template <>
struct KeyValueGradientShape<32> : TileShape<2, 2, 32, 2, LeftOperands::kInRegisters, 4> {};
template <>
struct KeyValueGradientShape<64> : TileShape<2, 2, 32, 2, LeftOperands::kShared, 4> {};
template <>
struct KeyValueGradientShape<96> : TileShape<4, 1, 64, 2, LeftOperands::kShared, 2> {};
template <>
struct KeyValueGradientShape<128> : TileShape<4, 1, 32, 2, LeftOperands::kSecondInRegisters, 2> {};

inline constexpr int kPrepareThreads = 128;

}  // namespace zebra::kernels::ampere
