#pragma once

#include "forward.h"

namespace zebra::kernels {
namespace {

/// One task of the backward: a chunk of query tiles of all query heads of one key head. Weights and
/// score gradients are computed once per pair of tiles; the gradients of the keys inside the window
/// stay in a ring until the last query that sees them has passed.
template <class Product, class Element>
class BackwardTask {
 public:
  using Word = typename Product::Word;

  BackwardTask(const LocalAttentionBackward& arguments, const LocalAttentionPlan& plan)
      : arguments_(arguments),
        inputs_(arguments.inputs),
        shape_(arguments.inputs.shape),
        plan_(plan),
        head_size_(static_cast<int>(shape_.head_size)),
        padded_(static_cast<int>(plan.padded_head)),
        tile_words_(kTile * padded_ / Product::kElements),
        slots_(plan.window_tiles + 1),
        scratch_(4 * (slots_ * (3 * tile_words_ + partial_floats(plan)) + 4 * tile_words_ +
                      3 * kTile * padded_ + 5 * kTile * kTile) +
                 8192) {
    const auto ring = [&] {
      return Ring<Word>{scratch_.template take<Word>(slots_ * tile_words_), slots_, tile_words_};
    };
    keys_transposed_ = ring();
    keys_ = ring();
    values_transposed_ = ring();
    const auto partial = partial_floats(plan);
    gradients_ = {scratch_.template take<float>(slots_ * partial), slots_, partial};
    query_rows_ = scratch_.template take<Word>(tile_words_);
    query_tokens_ = scratch_.template take<Word>(tile_words_);
    d_out_rows_ = scratch_.template take<Word>(tile_words_);
    d_out_tokens_ = scratch_.template take<Word>(tile_words_);
    floats_ = scratch_.template take<float>(kTile * padded_);
    dq_ = scratch_.template take<float>(kTile * padded_);
    other_floats_ = scratch_.template take<float>(kTile * padded_);
    scores_ = scratch_.template take<float>(kTile * kTile);
    d_weights_ = scratch_.template take<float>(kTile * kTile);
    weight_tokens_ = scratch_.template take<Word>(kTile * kTile / Product::kElements);
    d_score_tokens_ = scratch_.template take<Word>(kTile * kTile / Product::kElements);
    d_score_rows_ = scratch_.template take<Word>(kTile * kTile / Product::kElements);
    const double scale = 1.0 / __builtin_sqrt(static_cast<double>(head_size_));
    scale_ = static_cast<float>(scale);
    scale_log2_ = static_cast<float>(scale * kLog2E);
  }

  void run(std::int64_t task) {
    chunk_ = task % plan_.chunks;
    head_ = task / plan_.chunks;
    batch_ = head_ / shape_.key_heads;
    key_head_ = head_ % shape_.key_heads;
    begin_ = chunk_ * plan_.chunk_tiles;
    end_ = smaller(begin_ + plan_.chunk_tiles, plan_.tiles);
    const std::int64_t group = shape_.query_heads / shape_.key_heads,
                       first = larger<std::int64_t>(0, begin_ - plan_.window_tiles);
    for (std::int64_t tile = first; tile < begin_; ++tile) load_keys(tile);
    for (std::int64_t tile = begin_; tile < end_; ++tile) {
      if (tile - slots_ >= first) retire(tile - slots_);
      load_keys(tile);
      for (std::int64_t g = 0; g < group; ++g)
        differentiate(tile_place(shape_, batch_, key_head_ * group + g, tile));
    }
    for (auto tile = larger(first, end_ - slots_); tile < end_; ++tile) retire(tile);
  }

  /// Adds what the two tasks at a chunk's end left for one key tile.
  void join(std::int64_t task) {
    const std::int64_t tile = task % plan_.window_tiles, boundary = task / plan_.window_tiles;
    head_ = boundary / (plan_.chunks - 1);
    batch_ = head_ / shape_.key_heads;
    key_head_ = head_ % shape_.key_heads;
    const std::int64_t chunk = boundary % (plan_.chunks - 1);
    float* const sum = partial(chunk, 0, tile);
    const float* const more = partial(chunk, 1, tile);
    for (std::int64_t i = 0; i < partial_floats(plan_); ++i) sum[i] += more[i];
    write_key_gradients((chunk + 1) * plan_.chunk_tiles - plan_.window_tiles + tile, sum);
  }

 private:
  /// side 0: of the chunk before the boundary, 1: of the one behind it.
  float* partial(std::int64_t boundary, std::int64_t side, std::int64_t tile) const {
    const std::int64_t row = (head_ * (plan_.chunks - 1) + boundary) * 2 + side;
    return static_cast<float*>(arguments_.workspace) +
           (row * plan_.window_tiles + tile) * partial_floats(plan_);
  }

  void load_keys(std::int64_t tile) {
    const auto place = tile_place(shape_, batch_, key_head_, tile);
    Word* const rows = query_rows_;  // free until the next tile of queries
    read_tile<Element>(inputs_.k, place, head_size_, padded_, &inputs_.rotary, floats_);
    pack_rows<Product>(floats_, padded_, rows);
    transpose_rows<Product>(rows, padded_, keys_transposed_.at(tile));
    pack_tokens<Product>(floats_, padded_, keys_.at(tile));
    read_tile<Element>(inputs_.v, place, head_size_, padded_, nullptr, floats_);
    pack_rows<Product>(floats_, padded_, rows);
    transpose_rows<Product>(rows, padded_, values_transposed_.at(tile));
    std::memset(gradients_.at(tile), 0,
                sizeof(float) * static_cast<std::size_t>(partial_floats(plan_)));
  }

  /// No later query of this chunk sees the tile.
  void retire(std::int64_t tile) {
    const std::int64_t window = plan_.window_tiles;
    float* const gradients = gradients_.at(tile);
    const auto bytes = sizeof(float) * static_cast<std::size_t>(partial_floats(plan_));
    if (tile < begin_)
      std::memcpy(partial(chunk_ - 1, 1, tile - (begin_ - window)), gradients, bytes);
    else if (end_ < plan_.tiles && tile >= end_ - window)
      std::memcpy(partial(chunk_, 0, tile - (end_ - window)), gradients, bytes);
    else
      write_key_gradients(tile, gradients);
  }

  void write_key_gradients(std::int64_t tile, float* gradients) {
    const auto place = tile_place(shape_, batch_, key_head_, tile);
    for (int r = 0; r < place.rows; ++r) {
      const std::int64_t token = place.token + r;
      write_row(gradients + r * padded_, scale_, &inputs_.rotary, batch_, token, head_size_,
                head_row<Element>(arguments_.dk, batch_, token, key_head_));
      write_row(gradients + (kTile + r) * padded_, 1.0F, nullptr, batch_, token, head_size_,
                head_row<Element>(arguments_.dv, batch_, token, key_head_));
    }
  }

  void load_queries(const TilePlace& place) {
    read_tile<Element>(inputs_.q, place, head_size_, padded_, &inputs_.rotary, floats_);
    pack_rows<Product>(floats_, padded_, query_rows_);
    pack_tokens<Product>(floats_, padded_, query_tokens_);
    read_tile<Element>(arguments_.d_out, place, head_size_, padded_, nullptr, floats_);
    pack_rows<Product>(floats_, padded_, d_out_rows_);
    pack_tokens<Product>(floats_, padded_, d_out_tokens_);
    read_tile<Element>(arguments_.out, place, head_size_, padded_, nullptr, other_floats_);
    const float* const log_sum_exp =
        arguments_.log_sum_exp + (place.batch * shape_.query_heads + place.head) * shape_.length +
        place.token;
    for (int r = 0; r < kTile; ++r) {
      Vector sum = Vector{};
      for (int j = 0; j < padded_; j += kLanes)
        sum += load(floats_ + r * padded_ + j) * load(other_floats_ + r * padded_ + j);
      delta_[r] = sum_of_lanes(sum);
      const double log2_sum = r < place.rows ? log_sum_exp[r] * kLog2E : 0.0;
      log2_sum_[r] = static_cast<float>(log2_sum);
      log2_rest_[r] = static_cast<float>(log2_sum - log2_sum_[r]);
    }
  }

  void differentiate(const TilePlace& place) {
    load_queries(place);
    std::memset(dq_, 0, sizeof(float) * static_cast<std::size_t>(kTile * padded_));
    const auto bounds = query_bounds(inputs_, place);
    for (auto tile = bounds.smallest / kTile; tile * kTile <= place.token; ++tile) {
      const auto view = tile_view(place, bounds, tile * kTile);
      for (int block = 0; block < kRowBlocks; ++block) {
        if (view.whole)
          differentiate_queries<true>(view, block, tile);
        else
          differentiate_queries<false>(view, block, tile);
      }
      for (int block = 0; block < kRowBlocks; ++block)
        if (!view.queries[block].empty()) differentiate_keys(view.queries[block], block, tile);
    }
    for (int r = 0; r < place.rows; ++r) {
      const std::int64_t token = place.token + r;
      write_row(dq_ + r * padded_, scale_, &inputs_.rotary, place.batch, token, head_size_,
                head_row<Element>(arguments_.dq, place.batch, token, place.head));
    }
  }

  /// A block of queries: weights, score gradients, and their own gradient.
  template <bool kWhole>
  void differentiate_queries(const TileView& view, int block, std::int64_t tile) {
    const int row = block * kBlockRows;
    const Range range = kWhole ? Range{0, kTile} : view.keys[block];
    if (!kWhole) clear_outside(range.empty() ? Range{0, 0} : range, row);
    if (range.empty()) return;
    const int words = padded_ / Product::kElements, columns = range.end - range.begin;
    multiply_rows<Product, false>(LeftOperand<Product>{query_rows_ + row * words, words, 1},
                                  keys_transposed_.at(tile) + range.begin, kTile, words, columns,
                                  scores_ + row * kTile + range.begin, kTile);
    multiply_rows<Product, false>(LeftOperand<Product>{d_out_rows_ + row * words, words, 1},
                                  values_transposed_.at(tile) + range.begin, kTile, words, columns,
                                  d_weights_ + row * kTile + range.begin, kTile);
    for (int r = row; r < row + kBlockRows; r += 2)
      for (int c = range.begin; c < range.end; c += kLanes)
        differentiate_scores<kWhole>(view, r, c);

    constexpr int kTileWords = kTile / Product::kElements;
    const int first_word = range.begin / Product::kElements;
    multiply_rows<Product, true>(
        LeftOperand<Product>{d_score_rows_ + row * kTileWords + first_word, kTileWords, 1},
        keys_.at(tile) + first_word * padded_, padded_, columns / Product::kElements, padded_,
        dq_ + row * padded_, padded_);
  }

  /// Two queries, kLanes keys.
  template <bool kWhole>
  void differentiate_scores(const TileView& view, int r, int c) {
    Vector weight[2], d_score[2];
    for (int i = 0; i < 2; ++i) {
      Vector x = load(scores_ + (r + i) * kTile + c) * scale_log2_ - log2_sum_[r + i];
      if constexpr (Product::kExactExp) x -= log2_rest_[r + i];
      if constexpr (!kWhole) x = keep_visible(x, c, view.visible[r + i], -kInfinity);
      weight[i] = exp2<Product::kExactExp>(x);
      d_score[i] = weight[i] * (load(d_weights_ + (r + i) * kTile + c) - delta_[r + i]);
      if constexpr (!kWhole) {
        const auto changing = view.changing(r + i, arguments_.has_sink);
        d_score[i] = keep_visible(d_score[i], c, changing, 0.0F);
      }
      Product::store_row(d_score_rows_ + (r + i) * (kTile / Product::kElements), c, d_score[i]);
    }
    Product::store_two_rows(weight_tokens_ + c, r, kTile, weight[0], weight[1]);
    Product::store_two_rows(d_score_tokens_ + c, r, kTile, d_score[0], d_score[1]);
  }

  /// Keys may contract over queries whose own range of keys is elsewhere.
  void clear_outside(const Range& range, int row) {
    for (int r = row; r < row + kBlockRows; r += 2) {
      for (int c = 0; c < kTile; c += kLanes) {
        if (c >= range.begin && c < range.end) continue;
        Product::store_two_rows(weight_tokens_ + c, r, kTile, Vector{}, Vector{});
        Product::store_two_rows(d_score_tokens_ + c, r, kTile, Vector{}, Vector{});
      }
    }
  }

  /// A block of keys: gradients of key and value.
  void differentiate_keys(const Range& queries, int block, std::int64_t tile) {
    const int row = block * kBlockRows, depth = (queries.end - queries.begin) / Product::kElements,
              first_word = queries.begin / Product::kElements;
    float* const dk = gradients_.at(tile) + row * padded_;
    multiply_rows<Product, true>(
        LeftOperand<Product>{d_score_tokens_ + first_word * kTile + row, 1, kTile},
        query_tokens_ + first_word * padded_, padded_, depth, padded_, dk, padded_);
    multiply_rows<Product, true>(
        LeftOperand<Product>{weight_tokens_ + first_word * kTile + row, 1, kTile},
        d_out_tokens_ + first_word * padded_, padded_, depth, padded_, dk + kTile * padded_,
        padded_);
  }

  const LocalAttentionBackward& arguments_;
  const LocalAttentionInputs& inputs_;
  const LocalAttentionShape& shape_;
  const LocalAttentionPlan& plan_;
  const int head_size_, padded_;
  const std::int64_t tile_words_, slots_;
  Scratch scratch_;
  Ring<Word> keys_transposed_, keys_, values_transposed_;
  Ring<float> gradients_;  // dk then dv of each key tile, float32
  Word *query_rows_, *query_tokens_, *d_out_rows_, *d_out_tokens_;
  float *floats_, *other_floats_, *dq_, *scores_, *d_weights_;
  Word *weight_tokens_, *d_score_tokens_, *d_score_rows_;
  // Per query: rowsum(dO * O), and log2 of the sum of exponentials with what its rounding lost.
  float delta_[kTile], log2_sum_[kTile], log2_rest_[kTile];
  float scale_, scale_log2_;
  std::int64_t batch_ = 0, head_ = 0, key_head_ = 0, chunk_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace
}  // namespace zebra::kernels
