#pragma once

#include "row.h"

namespace zebra::kernels {
namespace {

/// A sequence's part of CachedAttention from one block of keys, a tile of them at a time. Rows of
/// heads are padded_width wide, in the order of vectors (see Pair).
template <class Element>
class CachedKeys {
 public:
  CachedKeys(const CachedAttention& a, std::int64_t sequence, float* partial)
      : a_(a),
        group_(a.query_heads / a.key_heads),
        width_(padded_width(a.head_size)),
        q_(static_cast<const Element*>(a.q.data) + sequence * a.q.batch_stride),
        k_(static_cast<const Element*>(a.k.data) + sequence * a.k.batch_stride),
        v_(static_cast<const Element*>(a.v.data) + sequence * a.v.batch_stride),
        partial_(partial),
        queries_(partial + a.query_heads * cached_partial_floats(a.head_size)),
        scores_(queries_ + a.query_heads * width_) {}

  void run(Span keys) {
    load_queries();
    for (std::int64_t first = keys.begin; first < keys.end; first += kCachedTile) {
      const Span tile = {first, smaller(first + kCachedTile, keys.end)};
      for (std::int64_t key = tile.begin; key < tile.end; ++key) score(key, key - first);
      for (std::int64_t head = 0; head < a_.query_heads; ++head) weigh(head, tile.end - tile.begin);
      std::int64_t key = tile.begin;
      for (; key + 4 <= tile.end; key += 4) add_values<4>(key, key - first);
      for (; key < tile.end; ++key) add_values<1>(key, key - first);
    }
  }

 private:
  float* partial_of(std::int64_t head) const {
    return partial_ + head * cached_partial_floats(a_.head_size);
  }

  /// Scaled for powers of two.
  void load_queries() {
    const float scale = kFloatLog2E / __builtin_sqrtf(static_cast<float>(a_.head_size));
    for (std::int64_t head = 0; head < a_.query_heads; ++head) {
      float* const query = queries_ + head * width_;
      float* const partial = partial_of(head);
      for (std::int64_t j = 0; j < width_; ++j) query[j] = partial[j] = 0.0F;
      partial[width_] = -kInfinity;
      partial[width_ + 1] = 0.0F;
      for_each<kPair>({0, a_.head_size}, [&](std::int64_t j, auto lanes) {
        const Pair q = load_pair(q_ + head * a_.q.head_stride + j, lanes);
        store_pair(query + j, {q.even * scale, q.odd * scale}, Whole{});
      });
    }
  }

  void score(std::int64_t key, std::int64_t column) {
    const Element* row = k_ + key * a_.k.token_stride;
    for (std::int64_t head = 0; head < a_.query_heads; row += a_.k.head_stride) {
      const std::int64_t end = head + group_;
      for (; head + 4 <= end; head += 4) score_heads<4>(row, head, column);
      for (; head < end; ++head) score_heads<1>(row, head, column);
    }
  }

  template <int kHeads>
  inline __attribute__((always_inline)) void score_heads(const Element* row, std::int64_t head,
                                                         std::int64_t column) {
    const float* const queries = queries_ + head * width_;
    Vector sums[kHeads] = {};
    for_each<kPair>({0, a_.head_size}, [&](std::int64_t j, auto lanes) {
      const Pair k = load_pair(row + j, lanes);
      for (int i = 0; i < kHeads; ++i) {
        const float* const query = queries + i * width_ + j;
        sums[i] += load(query) * k.even;
        sums[i] += load(query + kLanes) * k.odd;
      }
    });
    for (int i = 0; i < kHeads; ++i)
      scores_[(head + i) * kCachedTile + column] = sum_by_halves(sums[i]);
  }

  /// Turns the scores of a tile into weights, beside the largest score so far.
  void weigh(std::int64_t head, std::int64_t count) {
    float *const scores = scores_ + head * kCachedTile, *const partial = partial_of(head);
    for (std::int64_t i = count; i < kCachedTile; ++i) scores[i] = -kInfinity;
    Vector largest = broadcast(-kInfinity);
    for (int i = 0; i < kCachedTile; i += kLanes) largest = maximum(largest, load(scores + i));
    const float before = partial[width_], now = larger(before, largest_lane(largest));
    const float base = now == -kInfinity ? 0.0F : now;
    Vector sum = {};
    for (int i = 0; i < kCachedTile; i += kLanes) {
      const Vector weights = exp2<true>(load(scores + i) - base);
      store(scores + i, weights);
      sum += weights;
    }
    if (before != now) {
      const Vector factor = exp2<true>(broadcast(before - base));
      for (std::int64_t j = 0; j < width_; j += kLanes)
        store(partial + j, load(partial + j) * factor);
      partial[width_ + 1] *= factor[0];
    }
    partial[width_] = now;
    partial[width_ + 1] += sum_by_halves(sum);
  }

  /// Of kKeys keys in one pass over the sums.
  template <int kKeys>
  void add_values(std::int64_t key, std::int64_t column) {
    const Element* rows = v_ + key * a_.v.token_stride;
    for (std::int64_t head = 0; head < a_.query_heads; rows += a_.v.head_stride) {
      const std::int64_t end = head + group_;
      for (; head + 2 <= end; head += 2) add_to_heads<kKeys, 2>(rows, head, column);
      if (head < end) add_to_heads<kKeys, 1>(rows, head++, column);
    }
  }

  template <int kKeys, int kHeads>
  inline __attribute__((always_inline)) void add_to_heads(const Element* rows, std::int64_t head,
                                                          std::int64_t column) {
    const std::int64_t stride = cached_partial_floats(a_.head_size);
    float* const sums = partial_of(head);
    const float* const weights = scores_ + head * kCachedTile + column;
    for_each<kPair>({0, a_.head_size}, [&](std::int64_t j, auto lanes) {
      Pair sum[kHeads];
      for (int h = 0; h < kHeads; ++h) sum[h] = load_pair(sums + h * stride + j, Whole{});
      for (int i = 0; i < kKeys; ++i) {
        const Pair v = load_pair(rows + i * a_.v.token_stride + j, lanes);
        for (int h = 0; h < kHeads; ++h) {
          sum[h].even += v.even * weights[h * kCachedTile + i];
          sum[h].odd += v.odd * weights[h * kCachedTile + i];
        }
      }
      for (int h = 0; h < kHeads; ++h) store_pair(sums + h * stride + j, sum[h], Whole{});
    });
  }

  const CachedAttention& a_;
  const std::int64_t group_, width_;
  const Element *const q_, *const k_, *const v_;
  float *const partial_, *const queries_, *const scores_;
};

template <class Element>
void cached_attention_keys(const CachedAttention& a, std::int64_t sequence, Span keys,
                           float* partial) {
  CachedKeys<Element>(a, sequence, partial).run(keys);
}

/// 2^(x - base) of one number.
inline float power_above(float x, float base) { return exp2<true>(broadcast(x - base))[0]; }

template <class Element>
void cached_attention_join(const CachedAttention& a, std::int64_t sequence, std::int64_t blocks,
                           const float* partials) {
  const std::int64_t width = padded_width(a.head_size);
  for (std::int64_t head = 0; head < a.query_heads; ++head) {
    const auto block_of = [&](std::int64_t block) {
      return partials + block * cached_task_floats(a) + head * cached_partial_floats(a.head_size);
    };
    const bool has_sink = a.sink != nullptr;
    float largest = has_sink ? a.sink[head] * kFloatLog2E : -kInfinity;
    for (std::int64_t block = 0; block < blocks; ++block)
      largest = larger(largest, block_of(block)[width]);
    const float base = largest == -kInfinity ? 0.0F : largest;
    float total = has_sink ? power_above(a.sink[head] * kFloatLog2E, base) : 0.0F;
    for (std::int64_t block = 0; block < blocks; ++block)
      total += block_of(block)[width + 1] * power_above(block_of(block)[width], base);
    auto* const out = static_cast<Element*>(a.out.data) + sequence * a.out.batch_stride +
                      head * a.out.head_stride;
    for_each<kPair>({0, a.head_size}, [&](std::int64_t j, auto lanes) {
      Pair sum = {};
      for (std::int64_t block = 0; block < blocks; ++block) {
        const Pair part = load_pair(block_of(block) + j, Whole{});
        const float factor = power_above(block_of(block)[width], base) / total;
        sum = {sum.even + part.even * factor, sum.odd + part.odd * factor};
      }
      store_pair(out + j, sum, lanes);
    });
  }
}

}  // namespace
}  // namespace zebra::kernels
