#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "zebra_kernels/local_attention.h"

namespace zebra::kernels::testing {

inline std::uint16_t to_bfloat16(float x) {
  if (std::isnan(x)) return 0x7fc0;
  std::uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}
inline float from_bfloat16(std::uint16_t x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

enum class Rotary { kNone, kShared, kPerSequence };

struct Case {
  std::int64_t length, window, head_size, key_heads, group, batch;
  Rotary rotary;
  bool documents;
  ElementType type;

  std::string text() const {
    return "T " + std::to_string(length) + " W " + std::to_string(window) + " D " +
           std::to_string(head_size) + " Hkv " + std::to_string(key_heads) + " group " +
           std::to_string(group) + " B " + std::to_string(batch) + " rotary " +
           std::to_string(static_cast<int>(rotary)) + (documents ? " documents" : "") +
           (type == ElementType::kFloat32 ? " float32" : " bfloat16");
  }
};

/// Dense values [B, T, H, D] in float64.
using Values = std::vector<double>;

struct Results {
  Values out, log_sum_exp, dq, dk, dv;
};

/// Inputs of a case as exact values of its type.
struct Inputs {
  Values q, k, v, d_out;
  std::vector<float> cos, sin;  // [B, T, D/2]
  std::vector<std::int64_t> first_token;
  Values sinks = {};  // of each query head, one more score; none: no sinks
};

/// Numbers in (-1, 1), a function of the seed.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15U + 1) {}
  double next() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<double>(state_ >> 11) * 0x1.0p-52 - 1.0;
  }

 private:
  std::uint64_t state_;
};

inline double rounded(double x, ElementType type) {
  const auto single = static_cast<float>(x);
  return type == ElementType::kFloat32 ? single : from_bfloat16(to_bfloat16(single));
}

inline Inputs make_inputs(const Case& c, std::uint64_t seed) {
  Inputs in;
  Numbers numbers(seed);
  const auto fill = [&](Values& values, std::int64_t heads) {
    values.resize(static_cast<std::size_t>(c.batch * c.length * heads * c.head_size));
    for (auto& x : values) x = rounded(2.0 * numbers.next(), c.type);
  };
  fill(in.q, c.key_heads * c.group);
  fill(in.k, c.key_heads);
  fill(in.v, c.key_heads);
  fill(in.d_out, c.key_heads * c.group);
  const auto half = c.head_size / 2;
  for (std::int64_t b = 0; b < c.batch; ++b) {
    // Documents of 1, 2, 62, 63, 64, 65, ... tokens meet tiles at every kind of place.
    static constexpr std::int64_t kLengths[] = {1, 62, 2, 64, 65, 31, 7, 128, 1, 100};
    std::int64_t begin = 0, end = 0, document = b;
    for (std::int64_t t = 0; t < c.length; ++t) {
      if (t == end) begin = t, end = t + kLengths[document++ % 10];
      in.first_token.push_back(c.documents ? begin : 0);
      const auto position =
          static_cast<double>(c.rotary == Rotary::kPerSequence ? t - in.first_token.back() + b : t);
      for (std::int64_t j = 0; j < half; ++j) {
        const double angle =
            position * std::pow(100.0, -static_cast<double>(j) / static_cast<double>(half));
        in.cos.push_back(static_cast<float>(std::cos(angle)));
        in.sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }
  return in;
}

/// The definition by loops, in Real; with kRoundToBfloat16 everything that a plain bfloat16
/// composition stores between its steps is rounded.
template <class Real, bool kRoundToBfloat16>
class Reference {
 public:
  Reference(const Case& c, const Inputs& in) : c_(c), in_(in) {}

  Results run() {
    const auto query_heads = c_.key_heads * c_.group;
    const auto q = rotated(in_.q, query_heads), k = rotated(in_.k, c_.key_heads);
    std::vector<Real> dq(in_.q.size()), dk(in_.k.size()), dv(in_.v.size());
    Results r;
    r.out.resize(in_.q.size());
    const auto width = static_cast<std::size_t>(c_.head_size);
    const Real scale = Real(1) / std::sqrt(static_cast<Real>(c_.head_size));
    for (std::int64_t b = 0; b < c_.batch; ++b) {
      for (std::int64_t h = 0; h < query_heads; ++h) {
        for (std::int64_t t = 0; t < c_.length; ++t) {
          const auto first =
              std::max({std::int64_t{0}, t - c_.window,
                        in_.first_token[static_cast<std::size_t>(b * c_.length + t)]});
          const auto query = row(b, t, h, query_heads);
          const auto key = [&](std::int64_t s) { return row(b, s, h / c_.group, c_.key_heads); };
          std::vector<Real> p;
          Real largest = -std::numeric_limits<Real>::infinity();
          for (auto s = first; s <= t; ++s) {
            Real sum = 0;
            for (std::size_t j = 0; j < width; ++j) sum += q[query + j] * k[key(s) + j];
            p.push_back(sum * scale);
            largest = std::max(largest, p.back());
          }
          Real total = 0;
          for (auto& x : p) total += x = std::exp(x - largest);
          if (!in_.sinks.empty())
            total += std::exp(Real(in_.sinks[static_cast<std::size_t>(h)]) - largest);
          r.log_sum_exp.push_back(static_cast<double>(largest + std::log(total)));
          for (auto& x : p) x = keep(x / total);
          std::vector<Real> d_p(p.size());
          Real delta = 0;
          for (std::size_t j = 0; j < width; ++j) {
            Real sum = 0;
            for (std::size_t s = 0; s < p.size(); ++s)
              sum += p[s] * Real(in_.v[key(first + std::int64_t(s)) + j]);
            r.out[query + j] = static_cast<double>(keep(sum));
            delta += keep(sum) * Real(in_.d_out[query + j]);
          }
          for (std::size_t s = 0; s < p.size(); ++s) {
            const auto at = key(first + std::int64_t(s));
            for (std::size_t j = 0; j < width; ++j) {
              d_p[s] += Real(in_.d_out[query + j]) * Real(in_.v[at + j]);
              dv[at + j] += p[s] * Real(in_.d_out[query + j]);
            }
            const Real d_score = keep(p[s] * (keep(d_p[s]) - delta) * scale);
            for (std::size_t j = 0; j < width; ++j) {
              dq[query + j] += d_score * k[at + j];
              dk[at + j] += d_score * q[query + j];
            }
          }
        }
      }
    }
    r.dq = turned_back(dq, query_heads);
    r.dk = turned_back(dk, c_.key_heads);
    for (const auto x : dv) r.dv.push_back(static_cast<double>(keep(x)));
    return r;
  }

 private:
  static Real keep(Real x) {
    return kRoundToBfloat16 ? Real(from_bfloat16(to_bfloat16(static_cast<float>(x)))) : x;
  }
  std::size_t row(std::int64_t b, std::int64_t t, std::int64_t h, std::int64_t heads) const {
    return static_cast<std::size_t>(((b * c_.length + t) * heads + h) * c_.head_size);
  }
  std::vector<Real> rotated(const Values& x, std::int64_t heads) const {
    return turned(std::vector<Real>(x.begin(), x.end()), heads, Real(1));
  }
  Values turned_back(std::vector<Real> x, std::int64_t heads) const {
    for (auto& value : x) value = keep(value);
    const auto y = turned(std::move(x), heads, Real(-1));
    return Values(y.begin(), y.end());
  }
  std::vector<Real> turned(std::vector<Real> x, std::int64_t heads, Real direction) const {
    if (c_.rotary == Rotary::kNone) return x;
    const auto half = static_cast<std::size_t>(c_.head_size / 2);
    for (std::size_t i = 0; i < x.size() / (2 * half); ++i) {
      const auto angle = i / static_cast<std::size_t>(heads) * half;
      for (std::size_t j = 0; j < half; ++j) {
        const Real a = x[2 * half * i + j], b = x[2 * half * i + half + j],
                   cos = in_.cos[angle + j], sin = direction * Real(in_.sin[angle + j]);
        x[2 * half * i + j] = keep(a * cos - b * sin);
        x[2 * half * i + half + j] = keep(b * cos + a * sin);
      }
    }
    return x;
  }

  const Case& c_;
  const Inputs& in_;
};

}  // namespace zebra::kernels::testing
