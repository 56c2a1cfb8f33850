#pragma once

#include "products.h"

namespace zebra::kernels {
namespace {

/// One task of the forward with tiles: a chunk of query tiles of all query heads of one key head.
/// It goes by steps of 32 queries against a tile of keys. While the weights of one step are
/// computed, the scores of the next and the weighted values of the one before are issued in
/// between.
class TileForwardTask {
 public:
  using Element = std::uint16_t;
  using Word = std::uint32_t;

  TileForwardTask(const LocalAttentionForward& arguments, const LocalAttentionPlan& plan)
      : arguments_(arguments),
        inputs_(arguments.inputs),
        shape_(arguments.inputs.shape),
        plan_(plan),
        head_size_(static_cast<int>(shape_.head_size)),
        padded_(static_cast<int>(plan.padded_head)),
        head_words_(padded_ / 2),
        scratch_(4 * (ring_slots() * (2 * kTile * head_words_ + 1) +
                      kTile * (2 * padded_ + head_words_ + 2 * kLanes) +
                      2 * kProductSide * (kTile + kTileWords)) +
                 1024) {
    const std::int64_t tile_words = kTile * head_words_;
    keys_ = {scratch_.take<Word>(ring_slots() * tile_words), ring_slots(), tile_words};
    values_ = {scratch_.take<Word>(ring_slots() * tile_words), ring_slots(), tile_words};
    key_norms_ = {scratch_.take<float>(ring_slots()), ring_slots(), 1};
    floats_ = scratch_.take<float>(kTile * padded_);
    out_ = scratch_.take<float>(kTile * padded_);
    rows_ = scratch_.take<Word>(tile_words);
    sums_ = scratch_.take<float>(kTile * kLanes);
    rounded_sums_ = scratch_.take<float>(kTile * kLanes);
    for (int i = 0; i < 2; ++i) {
      scores_[i] = scratch_.take<float>(kProductSide * kTile);
      weights_[i] = scratch_.take<Word>(kProductSide * kTileWords);
    }
    scale_log2_ = static_cast<float>(kLog2E / __builtin_sqrt(static_cast<double>(head_size_)));
  }

  void run(std::int64_t task) {
    const ConfiguredTiles configured;
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
  static constexpr int kTileWords = kTile / 2;
  static constexpr int kPieceRows = 4;  // of queries between two products
  /// Scores, times log2(e), whose exponentials and their sums are far from the limits of float32
  /// and bfloat16.
  static constexpr float kModerate = 40.0F;

  struct Step {
    std::int64_t tile;
    int row;     // the first query
    Range keys;  // that any of the queries sees, multiples of kProductSide
    bool whole;
    int buffer;
  };

  std::int64_t ring_slots() const { return plan_.window_tiles + 1; }

  void load_keys(std::int64_t tile) {
    const auto place = tile_place(shape_, batch_, key_head_, tile);
    read_tile<Element>(inputs_.k, place, head_size_, padded_, &inputs_.rotary, floats_);
    *key_norms_.at(tile) = largest_norm();
    pack_rows<Bfloat16Product>(floats_, padded_, rows_);
    transpose(rows_, kTile, head_words_, keys_.at(tile));
    read_tile<Element>(inputs_.v, place, head_size_, padded_, nullptr, floats_);
    pack_tokens<Bfloat16Product>(floats_, padded_, values_.at(tile));
  }

  /// Of the rows in floats_, squared; NaN if any is.
  float largest_norm() const {
    float largest = 0.0F;
    for (int r = 0; r < kTile; ++r) {
      Vector sum = Vector{};
      for (int j = 0; j < padded_; j += kLanes) {
        const Vector x = load(floats_ + r * padded_ + j);
        sum += x * x;
      }
      const float norm = sum_by_halves(sum);
      largest = norm <= largest ? largest : norm;
    }
    return largest;
  }

  void attend(const TilePlace& place) {
    read_tile<Element>(inputs_.q, place, head_size_, padded_, &inputs_.rotary, floats_);
    pack_rows<Bfloat16Product>(floats_, padded_, rows_);
    std::memset(out_, 0, sizeof(float) * static_cast<std::size_t>(kTile * padded_));
    std::memset(sums_, 0, sizeof(float) * kTile * kLanes);
    std::memset(rounded_sums_, 0, sizeof(float) * kTile * kLanes);
    bounds_ = query_bounds(inputs_, place);
    choose_base(place);
    next_tile_ = bounds_.smallest / kTile;
    next_row_ = 0;
    buffer_ = 0;

    Step step, next;
    bool has_step = next_step(place, step);
    add_scores(step);
    queue_.issue_all();
    while (has_step) {
      const bool has_next = next_step(place, next);
      if (has_next) add_scores(next);
      weigh(step);
      queue_.issue_all();
      add_values(step);
      step = next;
      has_step = has_next;
    }
    queue_.issue_all();
    finish(place);
  }

  /// Where no score can be large, weights are exponentials of the scores themselves. Otherwise each
  /// query subtracts the largest of its scores so far, as there is no telling how far below any
  /// bound they are.
  void choose_base(const TilePlace& place) {
    float key_norm = 0.0F;
    for (auto tile = bounds_.smallest / kTile; tile * kTile <= place.token; ++tile) {
      const float norm = *key_norms_.at(tile);
      key_norm = norm <= key_norm ? key_norm : norm;
    }
    const float bound = scale_log2_ * __builtin_sqrtf(key_norm * largest_norm());
    moderate_ = bound <= kModerate;
    for (float& m : largest_) m = moderate_ ? 0.0F : -kInfinity;
  }

  /// The next 32 queries against a tile of keys that any of them sees.
  bool next_step(const TilePlace& place, Step& step) {
    while (next_tile_ * kTile <= place.token) {
      if (next_row_ == 0) views_[next_tile_ % 2] = tile_view(place, bounds_, next_tile_ * kTile);
      const TileView& view = views_[next_tile_ % 2];
      step = {next_tile_, next_row_, keys_of(view, next_row_), view.whole, buffer_};
      next_row_ = (next_row_ + kProductSide) % kTile;
      if (next_row_ == 0) ++next_tile_;
      if (step.keys.empty()) continue;
      buffer_ = 1 - buffer_;
      return true;
    }
    return false;
  }

  static Range keys_of(const TileView& view, int row) {
    Range keys = {kTile, 0};
    for (int block = row / kBlockRows; block < (row + kProductSide) / kBlockRows; ++block) {
      if (view.keys[block].empty()) continue;
      keys.begin = smaller(keys.begin, view.keys[block].begin);
      keys.end = larger(keys.end, view.keys[block].end);
    }
    return {keys.begin / kProductSide * kProductSide,
            (keys.end + kProductSide - 1) / kProductSide * kProductSide};
  }

  void add_scores(const Step& step) {
    for (int key = step.keys.begin; key < step.keys.end; key += kProductSide)
      queue_.add({rows_ + step.row * head_words_, head_words_, keys_.at(step.tile) + key, kTile,
                  scores_[step.buffer] + key, kTile, padded_, false});
  }

  void add_values(const Step& step) {
    const int word = step.keys.begin / 2;
    for (int column = 0; column < padded_; column += kProductSide)
      queue_.add({weights_[step.buffer] + word, kTileWords,
                  values_.at(step.tile) + word * padded_ + column, padded_,
                  out_ + step.row * padded_ + column, padded_, step.keys.end - step.keys.begin,
                  true});
  }

  void weigh(const Step& step) {
    if (moderate_) return step.whole ? weigh_pieces<true>(step) : weigh_pieces<false>(step);
    if (step.whole)
      find_largest<true>(step);
    else
      find_largest<false>(step);
    weigh_pieces<true>(step);  // what is invisible is -infinity by now
  }

  template <bool kWhole>
  void weigh_pieces(const Step& step) {
    for (int r = 0; r < kProductSide; r += kPieceRows) {
      for (int i = r; i < r + kPieceRows; ++i) weigh_row<kWhole>(step, i);
      queue_.issue();
    }
  }

  /// Weights of one query, and their sums.
  template <bool kWhole>
  void weigh_row(const Step& step, int r) {
    const float* const scores = scores_[step.buffer] + r * kTile;
    const int row = step.row + r;
    const float base = largest_[row] == -kInfinity ? 0.0F : largest_[row];
    Vector sum = load(sums_ + row * kLanes), rounded_sum = load(rounded_sums_ + row * kLanes);
    for (int c = step.keys.begin; c < step.keys.end; c += kProductSide) {
      Vector weight[2];
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        Vector x = load(scores + c + i * kLanes) * scale_log2_ - base;
        if constexpr (!kWhole)
          x = keep_visible(x, c + i * kLanes, views_[step.tile % 2].visible[row], -kInfinity);
        weight[i] = exp2_for_bfloat16(x);
        sum += weight[i];
      }
      const auto both = rounded(weight[0], weight[1]);
      rounded_sum = add_pairs(rounded_sum, both);
      store(weights_[step.buffer] + r * kTileWords + c / 2, both);
    }
    store(sums_ + row * kLanes, sum);
    store(rounded_sums_ + row * kLanes, rounded_sum);
  }

  /// Each query's largest score so far, and what it has summed in terms of that.
  template <bool kWhole>
  void find_largest(const Step& step) {
    for (int r = 0; r < kProductSide; ++r) {
      const int row = step.row + r;
      float* const scores = scores_[step.buffer] + r * kTile;
      Vector most = broadcast(-kInfinity);
      for (int c = step.keys.begin; c < step.keys.end; c += kLanes) {
        Vector x = load(scores + c);
        if constexpr (!kWhole) {
          x = keep_visible(x, c, views_[step.tile % 2].visible[row], -kInfinity);
          store(scores + c, x);
        }
        most = maximum(most, x);
      }
      const float before = largest_[row], now = larger(before, largest_lane(most) * scale_log2_);
      largest_[row] = now;
      if (now != before) rescale(row, before - now);
    }
  }

  void rescale(int row, float difference) {
    queue_.issue_all();  // what waits is in terms of the score before
    const Vector factor = exp2<false>(broadcast(difference));
    for (int j = 0; j < padded_; j += kLanes)
      store(out_ + row * padded_ + j, load(out_ + row * padded_ + j) * factor);
    for (float* const sums : {sums_ + row * kLanes, rounded_sums_ + row * kLanes})
      store(sums, load(sums) * factor);
  }

  void finish(const TilePlace& place) {
    for (int r = 0; r < place.rows; ++r) {
      const std::int64_t token = place.token + r;
      const float sum = sum_by_halves(load(sums_ + r * kLanes)),
                  rounded_sum = sum_by_halves(load(rounded_sums_ + r * kLanes));
      write_row(out_ + r * padded_, 1.0F / rounded_sum, nullptr, place.batch, token, head_size_,
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
  const int head_size_, padded_, head_words_;
  Scratch scratch_;
  Ring<Word> keys_, values_;  // K transposed, V by tokens
  Ring<float> key_norms_;     // the largest of each tile, squared
  float *floats_, *out_;
  // Of each query's weights, by lanes: as they are, for log_sum_exp, and rounded as they multiply
  // the values, so that what a query hardly shares among its keys keeps no error of rounding.
  float *sums_, *rounded_sums_;
  Word* rows_;
  float* scores_[2];  // of a step and of the next one
  Word* weights_[2];  // of a step and of the one before
  TileView views_[2];
  QueryBounds bounds_;
  ProductQueue queue_;
  float largest_[kTile];  // of each query's scores so far, times log2(e); 0 for moderate scores
  bool moderate_;
  float scale_log2_;
  std::int64_t batch_ = 0, key_head_ = 0, next_tile_ = 0;
  int next_row_ = 0, buffer_ = 0;
};

}  // namespace
}  // namespace zebra::kernels
