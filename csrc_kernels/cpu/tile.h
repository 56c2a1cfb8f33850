#pragma once

// Tiles of 64 tokens: reading, rotating and packing them, and which of their pairs are visible.

#include <new>

#include "kernel_table.h"
#include "matrix_product.h"

namespace zebra::kernels {
namespace {

constexpr int kRowBlocks = kTile / kBlockRows;

/// Cache-aligned scratch of one task, handed out piece by piece.
class Scratch {
 public:
  explicit Scratch(std::int64_t bytes)
      : begin_(static_cast<char*>(
            ::operator new (static_cast<std::size_t>(bytes), std::align_val_t{kAlignment}))),
        next_(begin_) {}
  ~Scratch() { ::operator delete (begin_, std::align_val_t{kAlignment}); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  template <class T>
  T* take(std::int64_t count) {
    T* const piece = reinterpret_cast<T*>(next_);
    next_ += rounded(count * static_cast<std::int64_t>(sizeof(T)));
    return piece;
  }
  static std::int64_t rounded(std::int64_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

 private:
  static constexpr std::int64_t kAlignment = 64;
  char* begin_;
  char* next_;
};

/// Turns x [2 half] by the angles, or back with direction -1.
inline void rotate(float* __restrict x, const float* __restrict cos, const float* __restrict sin,
                   int half, float direction) {
  float* __restrict const upper = x + half;
  int j = 0;
  for (; j + kLanes <= half; j += kLanes) {
    const Vector a = load(x + j), b = load(upper + j), c = load(cos + j),
                 s = load(sin + j) * direction;
    store(x + j, a * c - b * s);
    store(upper + j, b * c + a * s);
  }
  for (; j < half; ++j) {
    const float a = x[j], b = upper[j], s = direction * sin[j];
    x[j] = a * cos[j] - b * s;
    upper[j] = b * cos[j] + a * s;
  }
}

template <class Element>
inline const Element* head_row(const HeadArray& array, std::int64_t b, std::int64_t t,
                               std::int64_t h) {
  return static_cast<const Element*>(array.data) + b * array.batch_stride + t * array.token_stride +
         h * array.head_stride;
}
template <class Element>
inline Element* head_row(const MutableHeadArray& array, std::int64_t b, std::int64_t t,
                         std::int64_t h) {
  return static_cast<Element*>(array.data) + b * array.batch_stride + t * array.token_stride +
         h * array.head_stride;
}

/// The tile of one head: which sequence, head and tokens.
struct TilePlace {
  std::int64_t batch, head, token;  // token: the first one
  int rows;                         // tokens that exist, 1 .. kTile
};

inline TilePlace tile_place(const LocalAttentionShape& shape, std::int64_t batch, std::int64_t head,
                            std::int64_t tile) {
  const std::int64_t token = tile * kTile;
  return {batch, head, token, static_cast<int>(smaller<std::int64_t>(kTile, shape.length - token))};
}

/// Where the tile's first query is in an array [batch, query_heads, queries()].
inline std::int64_t first_query(const LocalAttentionShape& shape, const TilePlace& place) {
  return (place.batch * shape.query_heads + place.head) * shape.queries() + place.token -
         shape.query_begin;
}

// Rows of a packed projection lie too far apart for the processor's own prefetching.
constexpr int kRowsAhead = 8;

template <class Element>
inline void prefetch_row(const Element* row, int head_size) {
  constexpr int kLine = 64 / static_cast<int>(sizeof(Element));
  for (int j = 0; j < head_size; j += kLine) __builtin_prefetch(row + j);
}

/// Reads a tile as float32 [kTile][padded]; zeros beyond the head and beyond the sequence.
template <class Element>
void read_tile(const HeadArray& array, const TilePlace& place, int head_size, int padded,
               const RotaryTable* rotary, float* tile) {
  for (int r = 0; r < kTile; ++r) {
    float* __restrict const row = tile + r * padded;
    if (r >= place.rows) {
      std::memset(row, 0, static_cast<std::size_t>(padded) * sizeof(float));
      continue;
    }
    const std::int64_t token = place.token + r;
    const Element* __restrict const from = head_row<Element>(array, place.batch, token, place.head);
    if (r + kRowsAhead < place.rows)
      prefetch_row(from + kRowsAhead * array.token_stride, head_size);
    int j = 0;
    for (; j + kLanes <= head_size; j += kLanes) store(row + j, load_elements(from + j));
    for (; j < head_size; ++j) row[j] = to_float(from[j]);
    for (; j < padded; ++j) row[j] = 0.0F;
    if (rotary != nullptr && rotary->cos != nullptr) {
      const std::int64_t at = place.batch * rotary->batch_stride + token * rotary->token_stride;
      rotate(row, rotary->cos + at, rotary->sin + at, head_size / 2, 1.0F);
    }
  }
}

/// Scales, turns back and rounds one row into the caller's array.
template <class Element>
void write_row(float* __restrict row, float scale, const RotaryTable* rotary, std::int64_t batch,
               std::int64_t token, int head_size, Element* __restrict to) {
  int j = 0;
  for (; j + kLanes <= head_size; j += kLanes) store(row + j, load(row + j) * scale);
  for (; j < head_size; ++j) row[j] *= scale;
  if (rotary != nullptr && rotary->cos != nullptr) {
    const std::int64_t at = batch * rotary->batch_stride + token * rotary->token_stride;
    rotate(row, rotary->cos + at, rotary->sin + at, head_size / 2, -1.0F);
  }
  for (j = 0; j + kLanes <= head_size; j += kLanes) store_elements(to + j, load(row + j));
  for (; j < head_size; ++j) from_float(row[j], to[j]);
}

/// Rows [kTile][padded] words of elements along the head: contracts over the head, from the left.
template <class Product>
void pack_rows(const float* tile, int padded, typename Product::Word* to) {
  for (int r = 0; r < kTile; ++r)
    for (int j = 0; j < padded; j += kLanes)
      Product::store_row(to + r * (padded / Product::kElements), j, load(tile + r * padded + j));
}

/// [kTile / kElements][padded] words of elements along the tokens: contracts over the tokens.
template <class Product>
void pack_tokens(const float* tile, int padded, typename Product::Word* to) {
  for (int r = 0; r < kTile; r += 2)
    for (int j = 0; j < padded; j += kLanes)
      Product::store_two_rows(to + j, r, padded, load(tile + r * padded + j),
                              load(tile + (r + 1) * padded + j));
}

/// [padded / kElements][kTile] words of elements along the head, a transposition: contracts over
/// the head, from the right. `rows` is the result of pack_rows.
template <class Product>
void transpose_rows(const typename Product::Word* rows, int padded, typename Product::Word* to) {
  const int words = padded / Product::kElements;
  constexpr int kSquare = 8;
  for (int r = 0; r < kTile; r += kSquare)
    for (int w = 0; w < words; w += kSquare)
      for (int i = 0; i < kSquare; ++i)
        for (int j = 0; j < kSquare; ++j)
          to[(w + i) * kTile + r + j] = rows[(r + j) * words + w + i];
}

struct Range {
  int begin = 0, end = 0;
  bool empty() const { return begin >= end; }
};

/// The first key that each query of a tile sees.
struct QueryBounds {
  std::int64_t first[kTile];
  std::int64_t smallest, largest;
};

inline QueryBounds query_bounds(const LocalAttentionInputs& inputs, const TilePlace& place) {
  QueryBounds bounds;
  bounds.smallest = place.token + kTile;
  bounds.largest = 0;
  for (int r = 0; r < place.rows; ++r) {
    const std::int64_t token = place.token + r;
    std::int64_t first = larger<std::int64_t>(0, token - inputs.shape.window);
    if (inputs.first_token != nullptr)
      first = larger(first, inputs.first_token[place.batch * inputs.shape.length + token]);
    bounds.first[r] = first;
    bounds.smallest = smaller(bounds.smallest, first);
    bounds.largest = larger(bounds.largest, first);
  }
  return bounds;
}

/// Which pairs of a query tile and a key tile are visible. Ranges cover whatever is visible and are
/// as tight as the register blocks allow.
struct TileView {
  bool whole;                 // all of them: the arrays below except the ranges are unset
  Range visible[kTile];       // keys that each query sees
  Range keys[kRowBlocks];     // of a block of queries, multiples of kLanes
  Range queries[kRowBlocks];  // of a block of keys, multiples of 2
  bool lone[kTile];           // queries that see their own key only

  /// Keys whose weight depends on the scores: without a sink a lone key's is 1, its gradient
  /// exactly 0.
  Range changing(int query, bool has_sink) const {
    return lone[query] && !has_sink ? Range{} : visible[query];
  }
};

inline void set_ranges(TileView& view) {
  for (auto& queries : view.queries) queries = {kTile, 0};
  for (int block = 0; block < kRowBlocks; ++block) {
    int begin = kTile, end = 0;
    for (int r = block * kBlockRows; r < (block + 1) * kBlockRows; ++r) {
      if (view.visible[r].empty()) continue;
      begin = smaller(begin, view.visible[r].begin);
      end = larger(end, view.visible[r].end);
    }
    view.keys[block] = {begin / kLanes * kLanes, (end + kLanes - 1) / kLanes * kLanes};
    for (int b = begin / kBlockRows; b * kBlockRows < end; ++b) {
      view.queries[b].begin = smaller(view.queries[b].begin, block * kBlockRows);
      view.queries[b].end = (block + 1) * kBlockRows;
    }
  }
}

inline TileView tile_view(const TilePlace& place, const QueryBounds& bounds,
                          std::int64_t key_token) {
  TileView view;
  view.whole = place.rows == kTile && bounds.largest <= key_token && key_token < place.token;
  if (view.whole) {
    for (auto& keys : view.keys) keys = {0, kTile};
    for (auto& queries : view.queries) queries = {0, kTile};
    return view;
  }
  for (int r = 0; r < kTile; ++r) {
    view.visible[r] = {};
    view.lone[r] = false;
    if (r >= place.rows) continue;
    view.lone[r] = bounds.first[r] == place.token + r;
    const auto begin = larger<std::int64_t>(bounds.first[r] - key_token, 0);
    const auto end = smaller<std::int64_t>(place.token + r + 1 - key_token, kTile);
    if (begin < end) view.visible[r] = {static_cast<int>(begin), static_cast<int>(end)};
  }
  set_ranges(view);
  return view;
}

inline Vector keep_visible(Vector x, int column, const Range& visible, float otherwise) {
  const IntVector lane = lane_numbers() + column;
  const IntVector inside = (lane >= visible.begin) & (lane < visible.end);
  return inside ? x : broadcast(otherwise);
}

/// Key tiles from `first_tile` on, kept in a ring while the window of queries passes over them.
template <class T>
struct Ring {
  T* data;
  std::int64_t slots, stride;
  T* at(std::int64_t tile) const { return data + tile % slots * stride; }
};

}  // namespace
}  // namespace zebra::kernels
