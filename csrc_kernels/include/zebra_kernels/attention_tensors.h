#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "zebra_kernels/local_attention.h"

namespace zebra::kernels {

// What local attention asks of tensors, and how it reads them: one definition for every tensor
// library that calls the kernels. LibTorch does in src/ops, its stable ABI in
// python/zebra_attention; neither's tensors are known here.

/// Of the elements of a tensor.
enum class TensorType { kFloat32, kBfloat16, kInt64, kOther };

/// A tensor in its library's words.
struct TensorDescription {
  const void* data = nullptr;
  std::vector<std::int64_t> sizes, strides;  // strides in elements
  TensorType type = TensorType::kOther;
  std::string type_name, device;  // for messages; the same device has the same name
};

struct AttentionTensors {
  TensorDescription q;                           // [B, T, Hq, D]
  TensorDescription k, v;                        // [B, T, Hkv, D]
  std::optional<TensorDescription> cos, sin;     // [T, D / 2] or [B, T, D / 2], float32
  std::optional<TensorDescription> first_token;  // [B, T], int64
  std::int64_t window = 0;
  /// Whether q may hold the last tokens of T alone, see LocalAttentionShape::query_begin.
  bool allows_late_queries = false;
};

/// std::invalid_argument with a sentence unless the tensors fit together in size, type and device.
/// Head sizes are left to the kernels, of which each device has its own.
void check(const AttentionTensors& tensors);

/// The same unless sizes are [B, T, Hq + 2 Hkv, D] with that many query heads and at least one key
/// head: q, k and v in one projection, in this order.
void check_packed(const std::vector<std::int64_t>& sizes, std::int64_t query_heads);

/// Tensors that have passed the check, for a kernel. The elements of a head and of a row of the
/// tables must be contiguous, and the whole of first_token.
LocalAttentionInputs attention_inputs(const AttentionTensors& tensors);

}  // namespace zebra::kernels
