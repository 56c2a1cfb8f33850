#pragma once

#include "../key_gradients.h"
#include "products.h"

namespace zebra::kernels {
namespace {

/// One task of the backward with tiles: a chunk of query tiles of all query heads of one key head.
/// It goes by steps of 32 keys against a tile of queries, with keys as rows: so weights and score
/// gradients are left operands of dv and dk as they are stored, and dq comes out transposed.
/// While those of one step are computed, the scores of the next and the gradients of the one before
/// are issued in between.
class TileBackwardTask {
 public:
  using Element = std::uint16_t;
  using Word = std::uint32_t;

  TileBackwardTask(const LocalAttentionBackward& arguments, const LocalAttentionPlan& plan)
      : arguments_(arguments),
        inputs_(arguments.inputs),
        shape_(arguments.inputs.shape),
        plan_(plan),
        head_size_(static_cast<int>(shape_.head_size)),
        padded_(static_cast<int>(plan.padded_head)),
        head_words_(padded_ / 2),
        scale_(static_cast<float>(score_scale(head_size_))),
        scale_log2_(static_cast<float>(score_scale(head_size_) * kLog2E)),
        scratch_(4 * (KeyGradients<Element>::floats(plan) +
                      kTile * head_words_ * (3 * KeyGradients<Element>::slots(plan) + 5) +
                      kTile * padded_ * 3 +
                      2 * kProductSide * (2 * kTile + 2 * kTileWords + kTileWords)) +
                 1024),
        gradients_(arguments, plan, scratch_.take<float>(KeyGradients<Element>::floats(plan))) {
    const std::int64_t tile_words = kTile * head_words_;
    for (Ring<Word>* ring : {&keys_, &keys_transposed_, &values_}) {
      const auto slots = KeyGradients<Element>::slots(plan);
      *ring = {scratch_.take<Word>(slots * tile_words), slots, tile_words};
    }
    for (Word** operand :
         {&rows_, &queries_transposed_, &query_tokens_, &d_out_transposed_, &d_out_tokens_})
      *operand = scratch_.take<Word>(tile_words);
    for (float** tile : {&floats_, &other_floats_, &dq_})
      *tile = scratch_.take<float>(kTile * padded_);
    for (Block& block : blocks_) {
      block.scores = scratch_.take<float>(kProductSide * kTile);
      block.d_weights = scratch_.take<float>(kProductSide * kTile);
      block.weights = scratch_.take<Word>(kProductSide * kTileWords);
      block.d_scores = scratch_.take<Word>(kProductSide * kTileWords);
      block.d_score_pairs = scratch_.take<Word>(kProductSide / 2 * kTile);
    }
  }

  void run(std::int64_t task) {
    const ConfiguredTiles configured;
    chunk_ = chunk_of(shape_, plan_, task);
    gradients_.walk(
        chunk_, [&](std::int64_t tile) { load_keys(tile); },
        [&](const TilePlace& place) { differentiate(place); });
  }

 private:
  static constexpr int kTileWords = kTile / 2;
  static constexpr int kPieceKeys = 4;  // between two products

  /// Of 32 keys and a tile of queries, the keys as rows.
  struct Block {
    float *scores, *d_weights;  // [32][kTile]
    Word *weights, *d_scores;   // [32][kTile], rounded, pairs along the queries
    Word* d_score_pairs;        // [32 / 2][kTile], pairs along the keys, columns as dq_column()
  };

  struct Step {
    std::int64_t tile;
    int key;        // the first one
    Range queries;  // that see any of the keys, multiples of kProductSide
    bool whole;
    int block;
  };

  /// Which keys of a tile each query sees, and of which its score has a gradient.
  struct VisibleKeys {
    std::int32_t begin[kTile], end[kTile], changing_end[kTile];
  };

  void load_keys(std::int64_t tile) {
    const auto place = tile_place(shape_, chunk_.batch, chunk_.key_head, tile);
    read_tile<Element>(inputs_.k, place, head_size_, padded_, &inputs_.rotary, floats_);
    pack_rows<Bfloat16Product>(floats_, padded_, keys_.at(tile));
    pack_tokens<Bfloat16Product>(floats_, padded_, rows_);
    transpose(rows_, kTileWords, padded_, keys_transposed_.at(tile));
    read_tile<Element>(inputs_.v, place, head_size_, padded_, nullptr, floats_);
    pack_rows<Bfloat16Product>(floats_, padded_, values_.at(tile));
  }

  /// Of the tile in floats_.
  void pack_both_ways(Word* transposed, Word* tokens) {
    pack_rows<Bfloat16Product>(floats_, padded_, rows_);
    transpose(rows_, kTile, head_words_, transposed);
    pack_tokens<Bfloat16Product>(floats_, padded_, tokens);
  }

  void load_queries(const TilePlace& place) {
    read_tile<Element>(inputs_.q, place, head_size_, padded_, &inputs_.rotary, floats_);
    pack_both_ways(queries_transposed_, query_tokens_);
    read_tile<Element>(arguments_.d_out, place, head_size_, padded_, nullptr, floats_);
    pack_both_ways(d_out_transposed_, d_out_tokens_);
    read_tile<Element>(arguments_.out, place, head_size_, padded_, nullptr, other_floats_);
    sums_.read(arguments_, place, floats_, other_floats_, padded_);
  }

  void differentiate(const TilePlace& place) {
    load_queries(place);
    std::memset(dq_, 0, sizeof(float) * static_cast<std::size_t>(kTile * padded_));
    bounds_ = query_bounds(inputs_, place);
    next_tile_ = bounds_.smallest / kTile;
    next_key_ = 0;
    next_block_ = 0;

    Step step, next;
    bool has_step = next_step(place, step);
    add_scores(step);
    queue_.issue_all();
    while (has_step) {
      const bool has_next = next_step(place, next);
      if (has_next) add_scores(next);
      if (step.whole)
        weigh<true>(step);
      else
        weigh<false>(step);
      queue_.issue_all();
      add_gradients(step);
      step = next;
      has_step = has_next;
    }
    queue_.issue_all();
    write_query_gradients(place);
  }

  /// Where store_column_pairs puts a query.
  static int dq_column(int query) {
    const int within = query % kProductSide;
    return query - within + within % 2 * kLanes + within / 2;
  }

  void write_query_gradients(const TilePlace& place) {
    transpose(dq_, padded_, kTile, floats_);
    for (int r = 0; r < place.rows; ++r) {
      const std::int64_t token = place.token + r;
      write_row(floats_ + dq_column(r) * padded_, scale_, &inputs_.rotary, place.batch, token,
                head_size_, head_row<Element>(arguments_.dq, place.batch, token, place.head));
    }
  }

  /// The next 32 keys that any query of the tile sees.
  bool next_step(const TilePlace& place, Step& step) {
    while (next_tile_ * kTile <= place.token) {
      if (next_key_ == 0) {
        views_[next_tile_ % 2] = tile_view(place, bounds_, next_tile_ * kTile);
        if (!views_[next_tile_ % 2].whole) set_visible(next_tile_ % 2);
      }
      const TileView& view = views_[next_tile_ % 2];
      step = {next_tile_, next_key_, queries_of(view, next_key_), view.whole, next_block_};
      next_key_ = (next_key_ + kProductSide) % kTile;
      if (next_key_ == 0) ++next_tile_;
      if (step.queries.empty()) continue;
      next_block_ = 1 - next_block_;
      return true;
    }
    return false;
  }

  void set_visible(std::int64_t parity) {
    const TileView& view = views_[parity];
    VisibleKeys& visible = visible_[parity];
    for (int r = 0; r < kTile; ++r) {
      visible.begin[r] = view.visible[r].begin;
      visible.end[r] = view.visible[r].end;
      const auto changing = view.changing(r, arguments_.has_sink);
      visible.changing_end[r] = changing.empty() ? visible.begin[r] : visible.end[r];
    }
  }

  static Range queries_of(const TileView& view, int key) {
    Range queries = {kTile, 0};
    for (int block = key / kBlockRows; block < (key + kProductSide) / kBlockRows; ++block) {
      if (view.queries[block].empty()) continue;
      queries.begin = smaller(queries.begin, view.queries[block].begin);
      queries.end = larger(queries.end, view.queries[block].end);
    }
    return {queries.begin / kProductSide * kProductSide,
            (queries.end + kProductSide - 1) / kProductSide * kProductSide};
  }

  void add_scores(const Step& step) {
    const Block& block = blocks_[step.block];
    for (int query = step.queries.begin; query < step.queries.end; query += kProductSide) {
      queue_.add({keys_.at(step.tile) + step.key * head_words_, head_words_,
                  queries_transposed_ + query, kTile, block.scores + query, kTile, padded_, false});
      queue_.add({values_.at(step.tile) + step.key * head_words_, head_words_,
                  d_out_transposed_ + query, kTile, block.d_weights + query, kTile, padded_,
                  false});
    }
  }

  void add_gradients(const Step& step) {
    const Block& block = blocks_[step.block];
    const int word = step.queries.begin / 2, depth = step.queries.end - step.queries.begin;
    float* const dk = gradients_.at(step.tile) + step.key * padded_;
    for (int column = 0; column < padded_; column += kProductSide) {
      queue_.add({block.weights + word, kTileWords, d_out_tokens_ + word * padded_ + column,
                  padded_, dk + kTile * padded_ + column, padded_, depth, true});
      queue_.add({block.d_scores + word, kTileWords, query_tokens_ + word * padded_ + column,
                  padded_, dk + column, padded_, depth, true});
      for (int query = step.queries.begin; query < step.queries.end; query += kProductSide)
        queue_.add({keys_transposed_.at(step.tile) + column * kTileWords + step.key / 2, kTileWords,
                    block.d_score_pairs + query, kTile, dq_ + column * kTile + query, kTile,
                    kProductSide, true});
    }
  }

  template <bool kWhole>
  void weigh(const Step& step) {
    for (int k = 0; k < kProductSide; k += kPieceKeys) {
      for (int key = k; key < k + kPieceKeys; key += 2)
        for (int q = step.queries.begin; q < step.queries.end; q += kProductSide)
          weigh_keys<kWhole>(step, key, q);
      queue_.issue();
    }
  }

  /// Weights and score gradients of two keys and 32 queries.
  template <bool kWhole>
  void weigh_keys(const Step& step, int key, int query) {
    const Block& block = blocks_[step.block];
    __m512bh d_score[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const int at = (key + i) * kTile + query;
      Vector weight[2], change[2];
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        const int q = query + j * kLanes, here = at + j * kLanes;
        Vector x = load(block.scores + here) * scale_log2_ - load(sums_.log2_sum + q);
        if constexpr (!kWhole) x = keep_seen(x, step, key + i, q, false, -kInfinity);
        weight[j] = exp2_for_bfloat16(x);
        change[j] = weight[j] * (load(block.d_weights + here) - load(sums_.delta + q));
        if constexpr (!kWhole) change[j] = keep_seen(change[j], step, key + i, q, true, 0.0F);
      }
      store(block.weights + at / 2, rounded(weight[0], weight[1]));
      d_score[i] = rounded(change[0], change[1]);
      store(block.d_scores + at / 2, d_score[i]);
    }
    store_column_pairs(block.d_score_pairs + key / 2 * kTile + query, d_score[0], d_score[1]);
  }

  /// Of kLanes queries, those that see the key (or whose score of it changes anything).
  Vector keep_seen(Vector x, const Step& step, int key, int query, bool changing,
                   float otherwise) const {
    const VisibleKeys& visible = visible_[step.tile % 2];
    IntVector begin, end;
    std::memcpy(&begin, visible.begin + query, sizeof begin);
    std::memcpy(&end, (changing ? visible.changing_end : visible.end) + query, sizeof end);
    const IntVector at = IntVector{} + (step.key + key);
    return (at >= begin) & (at < end) ? x : broadcast(otherwise);
  }

  const LocalAttentionBackward& arguments_;
  const LocalAttentionInputs& inputs_;
  const LocalAttentionShape& shape_;
  const LocalAttentionPlan& plan_;
  const int head_size_, padded_, head_words_;
  const float scale_, scale_log2_;
  Scratch scratch_;
  KeyGradients<Element> gradients_;
  Ring<Word> keys_, keys_transposed_, values_;  // K and V by rows; K with pairs of tokens as rows
  Word *rows_, *queries_transposed_, *query_tokens_, *d_out_transposed_, *d_out_tokens_;
  float *floats_, *other_floats_;
  float* dq_;        // transposed, [padded head][kTile], columns as dq_column()
  Block blocks_[2];  // of a step and of its neighbour
  TileView views_[2];
  VisibleKeys visible_[2];
  QueryBounds bounds_;
  QuerySums sums_;
  ProductQueue queue_;
  Chunk chunk_ = {};
  std::int64_t next_tile_ = 0;
  int next_key_ = 0, next_block_ = 0;
};

}  // namespace
}  // namespace zebra::kernels
