#pragma once

#include <torch/types.h>

#include <cmath>
#include <limits>
#include <vector>

namespace zebra::testing {

/// Which keys a token sees, written from the definition: [B, T, T] bool, true where visible.
/// `window` < 0: global.
inline torch::Tensor visible_keys(std::int64_t length, std::int64_t window,
                                  const std::vector<std::vector<std::int64_t>>& document_starts) {
  const auto batch = static_cast<std::int64_t>(document_starts.size());
  auto visible = torch::zeros({batch, length, length}, torch::kBool);
  auto access = visible.accessor<bool, 3>();
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t t = 0; t < length; ++t) {
      std::int64_t first = window < 0 ? 0 : std::max<std::int64_t>(0, t - window);
      for (const auto start : document_starts[static_cast<std::size_t>(b)]) {
        if (start <= t) first = std::max(first, start);
      }
      for (std::int64_t key = first; key <= t; ++key) access[b][t][key] = true;
    }
  }
  return visible;
}

/// Positions that restart with each document, [B, T].
inline torch::Tensor restarting_positions(
    std::int64_t length, const std::vector<std::vector<std::int64_t>>& document_starts) {
  std::vector<torch::Tensor> rows;
  for (const auto& starts : document_starts) {
    auto row = torch::arange(length, torch::kInt64);
    for (const auto start : starts)
      row.slice(0, start) = torch::arange(length - start, torch::kInt64);
    rows.push_back(row);
  }
  return torch::stack(rows);
}

/// Rotation by complex multiplication, in x's own precision. x [B, T, H, D], positions [B, T],
/// plain frequencies.
inline torch::Tensor rotate_by_complex(const torch::Tensor& x, const torch::Tensor& positions,
                                       double theta) {
  const auto half = x.size(-1) / 2;
  const auto exponent = torch::arange(half, torch::kFloat64) / static_cast<double>(half);
  const auto angle = positions.to(torch::kFloat64).unsqueeze(-1) * torch::pow(theta, -exponent);
  const auto turn = torch::polar(torch::ones_like(angle), angle).unsqueeze(2);
  const auto z = torch::complex(x.narrow(-1, 0, half).to(torch::kFloat64),
                                x.narrow(-1, half, half).to(torch::kFloat64)) *
                 turn;
  return torch::cat({torch::real(z), torch::imag(z)}, -1).to(x.scalar_type());
}

/// Dense attention in q's own precision, softmax in float32 at least. q [B, T, Hq, D], k and v [B,
/// T, Hkv, D].
inline torch::Tensor dense_attention(const torch::Tensor& q, const torch::Tensor& k,
                                     const torch::Tensor& v, const torch::Tensor& visible) {
  const auto group = q.size(2) / k.size(2);
  const auto keys = k.repeat_interleave(group, 2), values = v.repeat_interleave(group, 2);
  const auto type = q.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
  auto scores = torch::einsum("bthd,bshd->bhts", {q, keys}).to(type) /
                std::sqrt(static_cast<double>(q.size(3)));
  scores = scores.masked_fill(visible.logical_not().unsqueeze(1),
                              -std::numeric_limits<double>::infinity());
  return torch::einsum("bhts,bshd->bthd", {torch::softmax(scores, -1).to(q.scalar_type()), values});
}

}  // namespace zebra::testing
