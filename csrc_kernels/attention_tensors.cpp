#include "zebra_kernels/attention_tensors.h"

#include <stdexcept>

namespace zebra::kernels {
namespace {

using Sizes = std::vector<std::int64_t>;

[[noreturn]] void refuse(const std::string& message) {
  throw std::invalid_argument("local attention: " + message + ".");
}

std::string text(const Sizes& sizes) {
  std::string list;
  for (const auto size : sizes) list += (list.empty() ? "" : ", ") + std::to_string(size);
  return "[" + list + "]";
}

void check_heads(const AttentionTensors& tensors) {
  const auto &q = tensors.q, &k = tensors.k, &v = tensors.v;
  if (q.sizes.size() != 4 || k.sizes.size() != 4 || k.sizes != v.sizes) {
    refuse("q must be [B, T, Hq, D], k and v [B, T, Hkv, D], got " + text(q.sizes) + ", " +
           text(k.sizes) + " and " + text(v.sizes));
  }
  const auto begin = k.sizes[1] - q.sizes[1];
  const bool has_length =
      tensors.allows_late_queries ? begin >= 0 && begin % kQueryUnit == 0 : begin == 0;
  if (q.sizes[0] != k.sizes[0] || !has_length || q.sizes[3] != k.sizes[3]) {
    refuse("q, k and v must agree in B, T and D, got " + text(q.sizes) + " and " + text(k.sizes));
  }
  const auto query_heads = q.sizes[2], key_heads = k.sizes[2];
  if (key_heads <= 0 || query_heads <= 0 || query_heads % key_heads != 0) {
    refuse("the query heads must be a multiple of the key heads, got " +
           std::to_string(query_heads) + " and " + std::to_string(key_heads));
  }
  const bool has_kernel_type = q.type == TensorType::kFloat32 || q.type == TensorType::kBfloat16;
  if (!has_kernel_type || k.type != q.type || v.type != q.type) {
    refuse("q, k and v must be all float32 or all bfloat16, got " + q.type_name + ", " +
           k.type_name + " and " + v.type_name);
  }
}

void check_tables(const AttentionTensors& tensors) {
  if (tensors.cos.has_value() != tensors.sin.has_value()) {
    refuse("cos and sin must be given together");
  }
  const auto& k = tensors.k.sizes;
  const Sizes shared = {k[1], k[3] / 2}, of_each_sequence = {k[0], k[1], k[3] / 2};
  for (const auto* table : {&tensors.cos, &tensors.sin}) {
    if (!table->has_value()) continue;
    const auto& [data, sizes, strides, type, type_name, device] = **table;
    if (type != TensorType::kFloat32 || (sizes != shared && sizes != of_each_sequence) ||
        sizes != tensors.cos->sizes || k[3] % 2 != 0) {
      refuse("cos and sin must be float32 [T, D / 2] or [B, T, D / 2], got " + type_name + " " +
             text(sizes));
    }
  }
}

void check_devices(const AttentionTensors& tensors) {
  const auto check_device = [&](const TensorDescription& x) {
    if (x.device == tensors.q.device) return;
    refuse("all tensors must be on one device, got " + tensors.q.device + " and " + x.device);
  };
  check_device(tensors.k);
  check_device(tensors.v);
  for (const auto* x : {&tensors.cos, &tensors.sin, &tensors.first_token}) {
    if (x->has_value()) check_device(**x);
  }
}

HeadArray head_array(const TensorDescription& x) {
  return {x.data, x.strides[0], x.strides[1], x.strides[2]};
}

}  // namespace

void check(const AttentionTensors& tensors) {
  check_heads(tensors);
  if (tensors.window < 0) {
    refuse("the window cannot be negative, got " + std::to_string(tensors.window));
  }
  check_tables(tensors);
  const auto& k = tensors.k.sizes;
  const auto& first_token = tensors.first_token;
  if (first_token.has_value() &&
      (first_token->type != TensorType::kInt64 || first_token->sizes != Sizes{k[0], k[1]})) {
    refuse("first_token must be int64 [B, T], got " + first_token->type_name + " " +
           text(first_token->sizes));
  }
  check_devices(tensors);
}

void check_packed(const Sizes& sizes, std::int64_t query_heads) {
  if (sizes.size() == 4 && query_heads > 0 && query_heads < sizes[2] &&
      (sizes[2] - query_heads) % 2 == 0) {
    return;
  }
  refuse("qkv must be [B, T, Hq + 2 Hkv, D], got " + text(sizes) + " with " +
         std::to_string(query_heads) + " query heads");
}

LocalAttentionInputs attention_inputs(const AttentionTensors& tensors) {
  const auto& [q, k, v, cos, sin, first_token, window, allows_late_queries] = tensors;
  LocalAttentionInputs inputs;
  inputs.shape = {
      .batch = q.sizes[0],
      .length = k.sizes[1],
      .query_heads = q.sizes[2],
      .key_heads = k.sizes[2],
      .head_size = q.sizes[3],
      .window = window,
      .type = q.type == TensorType::kFloat32 ? ElementType::kFloat32 : ElementType::kBfloat16,
      .query_begin = k.sizes[1] - q.sizes[1]};
  inputs.q = head_array(q);
  inputs.k = head_array(k);
  inputs.v = head_array(v);
  if (cos.has_value()) {
    const bool of_each_sequence = cos->sizes.size() == 3;
    inputs.rotary = {static_cast<const float*>(cos->data), static_cast<const float*>(sin->data),
                     of_each_sequence ? cos->strides[0] : 0,
                     cos->strides[of_each_sequence ? 1 : 0]};
  }
  if (first_token.has_value()) {
    inputs.first_token = static_cast<const std::int64_t*>(first_token->data);
  }
  return inputs;
}

}  // namespace zebra::kernels
