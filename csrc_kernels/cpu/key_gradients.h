#pragma once

#include "tile.h"

namespace zebra::kernels {
namespace {

/// What dot products are multiplied by, and so the gradients of their operands.
inline double score_scale(std::int64_t head_size) {
  return 1.0 / __builtin_sqrt(static_cast<double>(head_size));
}

/// A chunk of query tiles of all query heads of one key head: one task of the backward.
struct Chunk {
  std::int64_t number, head, batch, key_head, begin, end;  // head: of all sequences; tiles
};

inline Chunk chunk_of(const LocalAttentionShape& shape, const LocalAttentionPlan& plan,
                      std::int64_t task) {
  const std::int64_t number = task % plan.chunks, head = task / plan.chunks,
                     begin = plan.first_tile + number * plan.chunk_tiles;
  return {number,
          head,
          head / shape.key_heads,
          head % shape.key_heads,
          begin,
          smaller(begin + plan.chunk_tiles, plan.tiles)};
}

/// Gradients of the keys and values inside the window, float32: they stay in a ring until the last
/// query that sees them has passed.
template <class Element>
class KeyGradients {
 public:
  static std::int64_t slots(const LocalAttentionPlan& plan) { return plan.window_tiles + 1; }
  static std::int64_t floats(const LocalAttentionPlan& plan) {
    return slots(plan) * partial_floats(plan);
  }

  /// `ring`: floats() of them, or null for join() alone.
  KeyGradients(const LocalAttentionBackward& arguments, const LocalAttentionPlan& plan, float* ring)
      : arguments_(arguments),
        plan_(plan),
        padded_(static_cast<int>(plan.padded_head)),
        scale_(static_cast<float>(score_scale(arguments.inputs.shape.head_size))),
        ring_{ring, slots(plan), partial_floats(plan)} {}

  /// dk [kTile][padded head], then dv.
  float* at(std::int64_t tile) const { return ring_.at(tile); }

  /// Calls load_keys(tile) for each key tile that the chunk's queries see, and differentiate(place)
  /// for each tile of queries of each query head once its keys are there.
  template <class LoadKeys, class Differentiate>
  void walk(const Chunk& chunk, const LoadKeys& load_keys, const Differentiate& differentiate) {
    chunk_ = chunk;
    const auto& shape = arguments_.inputs.shape;
    const std::int64_t group = shape.query_heads / shape.key_heads,
                       first = larger<std::int64_t>(0, chunk.begin - plan_.window_tiles);
    const auto open = [&](std::int64_t tile) {
      load_keys(tile);
      std::memset(at(tile), 0, sizeof(float) * static_cast<std::size_t>(partial_floats(plan_)));
    };
    if (chunk.number == 0) clear_before(first);
    for (std::int64_t tile = first; tile < chunk.begin; ++tile) open(tile);
    for (std::int64_t tile = chunk.begin; tile < chunk.end; ++tile) {
      if (tile - ring_.slots >= first) retire(tile - ring_.slots);
      open(tile);
      for (std::int64_t g = 0; g < group; ++g)
        differentiate(tile_place(shape, chunk.batch, chunk.key_head * group + g, tile));
    }
    for (auto tile = larger(first, chunk.end - ring_.slots); tile < chunk.end; ++tile) retire(tile);
  }

  /// Adds what the two tasks at a chunk's end left for one key tile.
  void join(std::int64_t task) {
    const auto& shape = arguments_.inputs.shape;
    const std::int64_t tile = task % plan_.window_tiles, boundary = task / plan_.window_tiles,
                       head = boundary / (plan_.chunks - 1), number = boundary % (plan_.chunks - 1);
    chunk_ = chunk_of(shape, plan_, head * plan_.chunks + number);
    float* const sum = partial(number, 0, tile);
    const float* const more = partial(number, 1, tile);
    for (std::int64_t i = 0; i < partial_floats(plan_); ++i) sum[i] += more[i];
    write(chunk_.end - plan_.window_tiles + tile, sum);
  }

 private:
  /// side 0: of the chunk before the boundary, 1: of the one behind it.
  float* partial(std::int64_t boundary, std::int64_t side, std::int64_t tile) const {
    const std::int64_t row = (chunk_.head * (plan_.chunks - 1) + boundary) * 2 + side;
    return static_cast<float*>(arguments_.workspace) +
           (row * plan_.window_tiles + tile) * partial_floats(plan_);
  }

  /// Keys so far before the first query that none sees them.
  void clear_before(std::int64_t first) {
    for (std::int64_t tile = 0; tile < first; ++tile) {
      std::memset(at(tile), 0, sizeof(float) * static_cast<std::size_t>(partial_floats(plan_)));
      write(tile, at(tile));
    }
  }

  /// No later query of this chunk sees the tile.
  void retire(std::int64_t tile) {
    const std::int64_t window = plan_.window_tiles;
    float* const gradients = at(tile);
    const auto bytes = sizeof(float) * static_cast<std::size_t>(partial_floats(plan_));
    if (tile < chunk_.begin && chunk_.number > 0)
      std::memcpy(partial(chunk_.number - 1, 1, tile - (chunk_.begin - window)), gradients, bytes);
    else if (chunk_.end < plan_.tiles && tile >= chunk_.end - window)
      std::memcpy(partial(chunk_.number, 0, tile - (chunk_.end - window)), gradients, bytes);
    else
      write(tile, gradients);
  }

  void write(std::int64_t tile, float* gradients) {
    const auto& inputs = arguments_.inputs;
    const int head_size = static_cast<int>(inputs.shape.head_size);
    const auto place = tile_place(inputs.shape, chunk_.batch, chunk_.key_head, tile);
    for (int r = 0; r < place.rows; ++r) {
      const std::int64_t token = place.token + r;
      write_row(gradients + r * padded_, scale_, &inputs.rotary, place.batch, token, head_size,
                head_row<Element>(arguments_.dk, place.batch, token, place.head));
      write_row(gradients + (kTile + r) * padded_, 1.0F, nullptr, place.batch, token, head_size,
                head_row<Element>(arguments_.dv, place.batch, token, place.head));
    }
  }

  const LocalAttentionBackward& arguments_;
  const LocalAttentionPlan& plan_;
  const int padded_;
  const float scale_;
  Ring<float> ring_;
  Chunk chunk_ = {};
};

/// What the backward needs of each query of a tile beside its elements.
struct QuerySums {
  float delta[kTile];      // rowsum(dO * O)
  float log2_sum[kTile];   // log2 of the sum of exponentials
  float log2_rest[kTile];  // what its rounding lost

  /// d_out and out: [kTile][padded]
  void read(const LocalAttentionBackward& arguments, const TilePlace& place, const float* d_out,
            const float* out, int padded) {
    const auto& shape = arguments.inputs.shape;
    const float* const log_sum_exp = arguments.log_sum_exp + first_query(shape, place);
    for (int r = 0; r < kTile; ++r) {
      Vector sum = Vector{};
      for (int j = 0; j < padded; j += kLanes)
        sum += load(d_out + r * padded + j) * load(out + r * padded + j);
      delta[r] = sum_of_lanes(sum);
      const double log2 = r < place.rows ? log_sum_exp[r] * kLog2E : 0.0;
      log2_sum[r] = static_cast<float>(log2);
      log2_rest[r] = static_cast<float>(log2 - log2_sum[r]);
    }
  }
};

}  // namespace
}  // namespace zebra::kernels
