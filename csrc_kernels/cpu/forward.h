#pragma once

#include "tile.h"

namespace zebra::kernels {
namespace {

/// One task of the forward: a chunk of query tiles of all query heads of one key head.
template <class Product, class Element>
class ForwardTask {
 public:
  using Word = typename Product::Word;

  ForwardTask(const LocalAttentionForward& arguments, const LocalAttentionPlan& plan)
      : arguments_(arguments),
        inputs_(arguments.inputs),
        shape_(arguments.inputs.shape),
        plan_(plan),
        head_size_(static_cast<int>(shape_.head_size)),
        padded_(static_cast<int>(plan.padded_head)),
        tile_words_(kTile * padded_ / Product::kElements),
        scratch_(Scratch::rounded(4 * (2 * ring_slots() * tile_words_)) +
                 4 * (2 * kTile * padded_ + tile_words_ + kTile * kTile * 2 + kTile * kLanes) +
                 8192) {
    keys_ = {scratch_.template take<Word>(ring_slots() * tile_words_), ring_slots(), tile_words_};
    values_ = {scratch_.template take<Word>(ring_slots() * tile_words_), ring_slots(), tile_words_};
    floats_ = scratch_.template take<float>(kTile * padded_);
    out_ = scratch_.template take<float>(kTile * padded_);
    rows_ = scratch_.template take<Word>(tile_words_);
    scores_ = scratch_.template take<float>(kTile * kTile);
    weights_ = scratch_.template take<Word>(kTile * kTile / Product::kElements);
    sums_ = scratch_.template take<float>(kTile * kLanes);
    scale_log2_ = static_cast<float>(kLog2E / __builtin_sqrt(static_cast<double>(head_size_)));
  }

  void run(std::int64_t task) {
    const std::int64_t chunk = task % plan_.chunks, head = task / plan_.chunks;
    batch_ = head / shape_.key_heads;
    key_head_ = head % shape_.key_heads;
    const std::int64_t begin = plan_.first_tile + chunk * plan_.chunk_tiles,
                       end = smaller(begin + plan_.chunk_tiles, plan_.tiles),
                       group = shape_.query_heads / shape_.key_heads;
    for (auto tile = larger<std::int64_t>(0, begin - plan_.window_tiles); tile < begin; ++tile)
      load_keys(tile);
    for (std::int64_t tile = begin; tile < end; ++tile) {
      load_keys(tile);
      for (std::int64_t g = 0; g < group; ++g)
        attend(tile_place(shape_, batch_, key_head_ * group + g, tile));
    }
  }

 private:
  std::int64_t ring_slots() const { return plan_.window_tiles + 1; }

  void load_keys(std::int64_t tile) {
    const auto place = tile_place(shape_, batch_, key_head_, tile);
    read_tile<Element>(inputs_.k, place, head_size_, padded_, &inputs_.rotary, floats_);
    pack_rows<Product>(floats_, padded_, rows_);
    transpose_rows<Product>(rows_, padded_, keys_.at(tile));
    read_tile<Element>(inputs_.v, place, head_size_, padded_, nullptr, floats_);
    pack_tokens<Product>(floats_, padded_, values_.at(tile));
  }

  void attend(const TilePlace& place) {
    read_tile<Element>(inputs_.q, place, head_size_, padded_, &inputs_.rotary, floats_);
    pack_rows<Product>(floats_, padded_, rows_);
    std::memset(out_, 0, sizeof(float) * static_cast<std::size_t>(kTile * padded_));
    std::memset(sums_, 0, sizeof(float) * kTile * kLanes);
    for (float& m : largest_) m = -kInfinity;

    const auto bounds = query_bounds(inputs_, place);
    for (auto tile = bounds.smallest / kTile; tile * kTile <= place.token; ++tile) {
      const auto view = tile_view(place, bounds, tile * kTile);
      for (int block = 0; block < kRowBlocks; ++block) {
        if (view.keys[block].empty()) continue;
        if (view.whole)
          attend_block<true>(view, block, keys_.at(tile), values_.at(tile));
        else
          attend_block<false>(view, block, keys_.at(tile), values_.at(tile));
      }
    }
    finish(place);
  }

  /// A block of queries against one tile of keys: scores, online softmax, weighted values.
  template <bool kWhole>
  void attend_block(const TileView& view, int block, const Word* keys, const Word* values) {
    const int row = block * kBlockRows;
    const Range range = kWhole ? Range{0, kTile} : view.keys[block];
    const int words = padded_ / Product::kElements;
    float* const scores = scores_ + row * kTile;
    multiply_rows<Product, false>(LeftOperand<Product>{rows_ + row * words, words, 1},
                                  keys + range.begin, kTile, words, range.end - range.begin,
                                  scores + range.begin, kTile);
    online_softmax<kWhole>(view, range, row);
    constexpr int kTileWords = kTile / Product::kElements;
    const int first_word = range.begin / Product::kElements;
    multiply_rows<Product, true>(
        LeftOperand<Product>{weights_ + row * kTileWords + first_word, kTileWords, 1},
        values + first_word * padded_, padded_, (range.end - range.begin) / Product::kElements,
        padded_, out_ + row * padded_, padded_);
  }

  /// Weights of a block of queries from their scores. First every query's largest score, then the
  /// exponentials: many short chains at a time instead of a long one for each query.
  template <bool kWhole>
  void online_softmax(const TileView& view, const Range& range, int row) {
    float base[kBlockRows], before[kBlockRows];
    bool has_larger = false;
    for (int i = 0; i < kBlockRows; ++i) {
      const int r = row + i;
      const float most = largest_score<kWhole>(view.visible[r], range, r);
      before[i] = largest_[r];
      largest_[r] = larger(before[i], most);
      has_larger |= largest_[r] != before[i];
      // A query may see nothing of this tile, or of those so far.
      base[i] = largest_[r] == -kInfinity ? 0.0F : largest_[r];
    }
    if (has_larger) rescale(before, base, row);
    for (int i = 0; i < kBlockRows; ++i) {
      const int r = row + i;
      Vector sum = Vector{};
      for (int c = range.begin; c < range.end; c += kLanes) {
        const Vector weight = exp2<Product::kExactExp>(load(scores_ + r * kTile + c) - base[i]);
        sum += weight;
        Product::store_row(weights_ + r * (kTile / Product::kElements), c, weight);
      }
      store(sums_ + r * kLanes, sum + load(sums_ + r * kLanes));
    }
  }

  /// The largest of a query's scores, which are left multiplied by scale_log2_, -infinity where
  /// invisible.
  template <bool kWhole>
  float largest_score(const Range& visible, const Range& range, int r) {
    float* const scores = scores_ + r * kTile;
    Vector most = broadcast(-kInfinity);
    for (int c = range.begin; c < range.end; c += kLanes) {
      Vector x = load(scores + c) * scale_log2_;
      if constexpr (!kWhole) x = keep_visible(x, c, visible, -kInfinity);
      store(scores + c, x);
      most = maximum(most, x);
    }
    return largest_lane(most);
  }

  /// What a block of queries has summed so far, in terms of larger scores.
  void rescale(const float* before, const float* base, int row) {
    for (int i = 0; i < kBlockRows; ++i) {
      const int r = row + i;
      const Vector factor = exp2<Product::kExactExp>(broadcast(before[i] - base[i]));
      for (int j = 0; j < padded_; j += kLanes)
        store(out_ + r * padded_ + j, load(out_ + r * padded_ + j) * factor);
      store(sums_ + r * kLanes, load(sums_ + r * kLanes) * factor);
    }
  }

  void finish(const TilePlace& place) {
    for (int r = 0; r < place.rows; ++r) {
      const std::int64_t token = place.token + r;
      const float sum = sum_of_lanes(load(sums_ + r * kLanes));
      write_row(out_ + r * padded_, 1.0F / sum, nullptr, place.batch, token, head_size_,
                head_row<Element>(arguments_.out, place.batch, token, place.head));
      if (arguments_.log_sum_exp == nullptr) continue;
      arguments_.log_sum_exp[first_query(shape_, place) + r] =
          static_cast<float>(largest_[r] * kLn2 + static_cast<double>(__builtin_logf(sum)));
    }
  }

  const LocalAttentionForward& arguments_;
  const LocalAttentionInputs& inputs_;
  const LocalAttentionShape& shape_;
  const LocalAttentionPlan& plan_;
  const int head_size_, padded_;
  const std::int64_t tile_words_;
  Scratch scratch_;
  Ring<Word> keys_, values_;  // K transposed, V by tokens
  float *floats_, *out_, *scores_, *sums_;
  Word *rows_, *weights_;
  float largest_[kTile];  // of each query's scores so far, times log2(e)
  float scale_log2_;
  std::int64_t batch_ = 0, key_head_ = 0;
};

}  // namespace
}  // namespace zebra::kernels
