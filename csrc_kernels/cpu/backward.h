#pragma once

#include "forward.h"
#include "key_gradients.h"

namespace zebra::kernels {
namespace {

/// One task of the backward: a chunk of query tiles of all query heads of one key head. Weights and
/// score gradients are computed once per pair of tiles.
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
        scale_(static_cast<float>(score_scale(head_size_))),
        scale_log2_(static_cast<float>(score_scale(head_size_) * kLog2E)),
        slots_(plan.window_tiles + 1),
        scratch_(4 * (slots_ * 3 * tile_words_ + KeyGradients<Element>::floats(plan) +
                      4 * tile_words_ + 3 * kTile * padded_ + 5 * kTile * kTile) +
                 8192),
        gradients_(arguments, plan,
                   scratch_.template take<float>(KeyGradients<Element>::floats(plan))) {
    const auto ring = [&] {
      return Ring<Word>{scratch_.template take<Word>(slots_ * tile_words_), slots_, tile_words_};
    };
    keys_transposed_ = ring();
    keys_ = ring();
    values_transposed_ = ring();
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
  }

  void run(std::int64_t task) {
    chunk_ = chunk_of(shape_, plan_, task);
    gradients_.walk(
        chunk_, [&](std::int64_t tile) { load_keys(tile); },
        [&](const TilePlace& place) { differentiate(place); });
  }

 private:
  void load_keys(std::int64_t tile) {
    const auto place = tile_place(shape_, chunk_.batch, chunk_.key_head, tile);
    Word* const rows = query_rows_;  // free until the next tile of queries
    read_tile<Element>(inputs_.k, place, head_size_, padded_, &inputs_.rotary, floats_);
    pack_rows<Product>(floats_, padded_, rows);
    transpose_rows<Product>(rows, padded_, keys_transposed_.at(tile));
    pack_tokens<Product>(floats_, padded_, keys_.at(tile));
    read_tile<Element>(inputs_.v, place, head_size_, padded_, nullptr, floats_);
    pack_rows<Product>(floats_, padded_, rows);
    transpose_rows<Product>(rows, padded_, values_transposed_.at(tile));
  }

  void load_queries(const TilePlace& place) {
    read_tile<Element>(inputs_.q, place, head_size_, padded_, &inputs_.rotary, floats_);
    pack_rows<Product>(floats_, padded_, query_rows_);
    pack_tokens<Product>(floats_, padded_, query_tokens_);
    read_tile<Element>(arguments_.d_out, place, head_size_, padded_, nullptr, floats_);
    pack_rows<Product>(floats_, padded_, d_out_rows_);
    pack_tokens<Product>(floats_, padded_, d_out_tokens_);
    read_tile<Element>(arguments_.out, place, head_size_, padded_, nullptr, other_floats_);
    sums_.read(arguments_, place, floats_, other_floats_, padded_);
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
      Vector x = load(scores_ + (r + i) * kTile + c) * scale_log2_ - sums_.log2_sum[r + i];
      if constexpr (Product::kExactExp) x -= sums_.log2_rest[r + i];
      if constexpr (!kWhole) x = keep_visible(x, c, view.visible[r + i], -kInfinity);
      weight[i] = exp2<Product::kExactExp>(x);
      d_score[i] = weight[i] * (load(d_weights_ + (r + i) * kTile + c) - sums_.delta[r + i]);
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
  const std::int64_t tile_words_;
  const float scale_, scale_log2_;
  const std::int64_t slots_;
  Scratch scratch_;
  KeyGradients<Element> gradients_;
  Ring<Word> keys_transposed_, keys_, values_transposed_;
  Word *query_rows_, *query_tokens_, *d_out_rows_, *d_out_tokens_;
  float *floats_, *other_floats_, *dq_, *scores_, *d_weights_;
  Word *weight_tokens_, *d_score_tokens_, *d_score_rows_;
  QuerySums sums_;
  Chunk chunk_ = {};
};

}  // namespace
}  // namespace zebra::kernels
