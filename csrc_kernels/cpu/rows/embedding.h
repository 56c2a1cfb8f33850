#pragma once

#include "row.h"

namespace zebra::kernels {
namespace {

/// Rows of d_out that belong to one token, positions in `sorted_tokens`.
template <class Element, int kVectors, class Lanes>
inline __attribute__((always_inline)) void add_run(const EmbeddingBackward& a, Span run,
                                                   std::int64_t column, Lanes lanes) {
  Vector sum[kVectors] = {};
  for (std::int64_t i = run.begin; i < run.end; ++i) {
    const auto* const from = row_of<Element>(a.d_out, a.order[i], a.width) + column;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[v] += load_elements(from + v * kLanes, lanes);
  }
  float* const to = a.d_weight + a.sorted_tokens[run.begin] * a.width + column;
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v)
    store_elements(to + v * kLanes, load_elements(to + v * kLanes, lanes) + sum[v], lanes);
}

template <class Element>
void embedding_backward_positions(const EmbeddingBackward& a, Span positions, Span columns) {
  constexpr int kVectors = 8;  // sums that stay in registers
  std::int64_t i = positions.begin;
  // A token that began before belongs to the task of its first position.
  while (i < positions.end && i > 0 && a.sorted_tokens[i] == a.sorted_tokens[i - 1]) ++i;
  while (i < positions.end) {
    Span run = {i, i + 1};
    while (run.end < a.rows && a.sorted_tokens[run.end] == a.sorted_tokens[i]) ++run.end;
    std::int64_t j = columns.begin;
    for (; j + kVectors * kLanes <= columns.end; j += kVectors * kLanes)
      add_run<Element, kVectors>(a, run, j, Whole{});
    for_each<kLanes>({j, columns.end}, [&](std::int64_t column, auto lanes) {
      add_run<Element, 1>(a, run, column, lanes);
    });
    i = run.end;
  }
}

}  // namespace
}  // namespace zebra::kernels
