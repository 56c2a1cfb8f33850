#pragma once

#include <stdexcept>
#include <string>

#include "zebra_kernels/adamw.h"
#include "zebra_kernels/cached_attention.h"
#include "zebra_kernels/cross_entropy.h"
#include "zebra_kernels/embedding.h"
#include "zebra_kernels/local_attention.h"
#include "zebra_kernels/rms_norm.h"
#include "zebra_kernels/rotary.h"
#include "zebra_kernels/swiglu.h"

// What kernels ask of their shapes and pointers, wherever the memory is. Pointers to arrays without
// elements are not looked at.

namespace zebra::kernels {

inline void require(bool condition, const char* kernel, const std::string& message) {
  if (!condition) throw std::invalid_argument(std::string(kernel) + ": " + message);
}

/// Of local attention.
inline void require(bool condition, const std::string& message) {
  require(condition, "local attention", message);
}

/// Of local attention too.
inline void check_shape(const LocalAttentionShape& s) {
  require(s.batch >= 0 && s.length >= 0, "batch and length cannot be negative, got " +
                                             std::to_string(s.batch) + " and " +
                                             std::to_string(s.length) + ".");
  require(s.query_heads > 0 && s.key_heads > 0 && s.query_heads % s.key_heads == 0,
          "the number of query heads must be a positive multiple of that of key heads, got " +
              std::to_string(s.query_heads) + " and " + std::to_string(s.key_heads) + ".");
  require(
      s.head_size >= 2 && s.head_size <= 256 && s.head_size % 2 == 0,
      "the head size must be even and between 2 and 256, got " + std::to_string(s.head_size) + ".");
  require(s.window >= 0, "a window cannot be negative, got " + std::to_string(s.window) + ".");
  require(s.query_begin >= 0 && s.query_begin <= s.length && s.query_begin % kQueryUnit == 0,
          "queries must begin at a multiple of " + std::to_string(kQueryUnit) +
              " inside the sequence of " + std::to_string(s.length) + ", got " +
              std::to_string(s.query_begin) + ".");
}

/// The same of its pointers, when there is a token.
inline void check_pointers(const LocalAttentionInputs& inputs) {
  require(inputs.q.data != nullptr && inputs.k.data != nullptr && inputs.v.data != nullptr,
          "q, k and v must not be null.");
  require((inputs.rotary.cos == nullptr) == (inputs.rotary.sin == nullptr),
          "rotary cosines and sines must be given together.");
}

// Row kernels.

inline void check_rows(const char* kernel, std::int64_t rows, std::int64_t width,
                       const char* width_name) {
  require(rows >= 0, kernel,
          "the number of rows cannot be negative, got " + std::to_string(rows) + ".");
  require(
      width > 0, kernel,
      std::string("the ") + width_name + " must be positive, got " + std::to_string(width) + ".");
}

inline void check_shape(const RmsNormShape& s) { check_rows("RMSNorm", s.rows, s.width, "width"); }

inline void check_arguments(const RmsNormForward& a) {
  check_shape(a.shape);
  require(a.eps >= 0, "RMSNorm", "eps cannot be negative, got " + std::to_string(a.eps) + ".");
  if (a.shape.rows == 0) return;
  require(a.x != nullptr && a.weight != nullptr && a.out != nullptr, "RMSNorm",
          "x, weight and out must not be null.");
  require(a.added == nullptr || a.sum != nullptr, "RMSNorm",
          "sum must not be null where something is added.");
}

inline void check_arguments(const RmsNormBackward& a) {
  check_shape(a.shape);
  require(a.d_weight != nullptr, "RMSNorm", "d_weight must not be null.");
  if (a.shape.rows == 0) return;
  require(a.sum != nullptr && a.weight != nullptr && a.inverse_rms != nullptr, "RMSNorm",
          "the backward needs sum, weight and inverse_rms of the forward.");
  require(a.d_out != nullptr && a.d_x != nullptr, "RMSNorm", "d_out and d_x must not be null.");
  require(a.workspace != nullptr, "RMSNorm",
          "the backward needs a workspace of rms_norm_backward_workspace_bytes() bytes.");
}

inline void check_arguments(const SwigluForward& a) {
  check_rows("SwiGLU", a.shape.rows, a.shape.width, "width");
  if (a.shape.rows == 0) return;
  require(a.gate_up != nullptr && a.out != nullptr, "SwiGLU", "gate_up and out must not be null.");
}

inline void check_arguments(const SwigluBackward& a) {
  check_rows("SwiGLU", a.shape.rows, a.shape.width, "width");
  if (a.shape.rows == 0) return;
  require(a.gate_up != nullptr && a.d_out != nullptr && a.d_gate_up != nullptr, "SwiGLU",
          "gate_up, d_out and d_gate_up must not be null.");
}

inline void check_arguments(const CrossEntropy& a) {
  check_rows("cross-entropy", a.rows, a.vocabulary, "vocabulary");
  if (a.rows == 0) return;
  require(a.logits != nullptr && a.targets != nullptr, "cross-entropy",
          "logits and targets must not be null.");
  require(a.cross_entropy != nullptr && a.log_sum_exp != nullptr, "cross-entropy",
          "cross_entropy and log_sum_exp must not be null.");
}

inline void check_arguments(const AdamwUpdate& a) {
  require(a.size >= 0 && a.decayed_size >= 0 && a.decayed_size <= a.size, "AdamW",
          "decayed_size must lie between 0 and size, got " + std::to_string(a.decayed_size) +
              " of " + std::to_string(a.size) + ".");
  require(a.step != nullptr, "AdamW", "step must not be null.");
  if (a.size == 0) return;
  require(a.gradients != nullptr && a.weights != nullptr && a.first_moments != nullptr &&
              a.second_moments != nullptr,
          "AdamW", "gradients, weights and moments must not be null.");
}

inline void check_arguments(const EmbeddingBackward& a) {
  check_rows("embedding", a.rows, a.width, "width");
  require(a.vocabulary > 0, "embedding",
          "the vocabulary must be positive, got " + std::to_string(a.vocabulary) + ".");
  if (a.rows == 0) return;
  require(a.sorted_tokens != nullptr && a.order != nullptr && a.d_out != nullptr &&
              a.d_weight != nullptr,
          "embedding", "sorted_tokens, order, d_out and d_weight must not be null.");
}

inline void check_arguments(const CachedAttention& a) {
  constexpr const char* kName = "cached attention";
  require(a.batch >= 0, kName, "batch cannot be negative, got " + std::to_string(a.batch) + ".");
  require(a.query_heads > 0 && a.key_heads > 0 && a.query_heads % a.key_heads == 0, kName,
          "the number of query heads must be a positive multiple of that of key heads, got " +
              std::to_string(a.query_heads) + " and " + std::to_string(a.key_heads) + ".");
  require(a.head_size > 0, kName,
          "the head size must be positive, got " + std::to_string(a.head_size) + ".");
  if (a.batch == 0) return;
  require(a.keys > 0, kName, "there must be a key, got " + std::to_string(a.keys) + ".");
  require(
      a.q.data != nullptr && a.k.data != nullptr && a.v.data != nullptr && a.out.data != nullptr,
      kName, "q, k, v and out must not be null.");
}

inline void check_arguments(const Rotary& a) {
  require(a.batch >= 0 && a.length >= 0 && a.heads >= 0, "rotary",
          "batch, length and heads cannot be negative, got " + std::to_string(a.batch) + ", " +
              std::to_string(a.length) + " and " + std::to_string(a.heads) + ".");
  require(a.head_size > 0 && a.head_size % 2 == 0, "rotary",
          "the head size must be even and positive, got " + std::to_string(a.head_size) + ".");
  if (a.batch == 0 || a.length == 0 || a.heads == 0) return;
  require(a.x.data != nullptr && a.out.data != nullptr, "rotary", "x and out must not be null.");
  require(a.table.cos != nullptr && a.table.sin != nullptr, "rotary",
          "cosines and sines must not be null.");
}

}  // namespace zebra::kernels
