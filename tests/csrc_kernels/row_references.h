#pragma once

#include "csrc_kernels/local_attention_reference.h"
#include "zebra_kernels/adamw.h"
#include "zebra_kernels/cross_entropy.h"
#include "zebra_kernels/embedding.h"
#include "zebra_kernels/rms_norm.h"
#include "zebra_kernels/rotary.h"
#include "zebra_kernels/swiglu.h"

// The definitions of the row kernels by plain loops, in Real: double is what is right, float the
// naive form. Values are dense and in float64; nothing here rounds a result to bfloat16, but the
// sum of RMSNorm, which the definition itself rounds. Nothing here depends on where kernels run.

namespace zebra::kernels::testing {

inline std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Numbers in (-scale, scale), exact in `type`.
inline Values random_values(std::int64_t count, ElementType type, std::uint64_t seed,
                            double scale = 2.0) {
  Values values(at(count));
  Numbers numbers(seed);
  for (auto& x : values) x = rounded(scale * numbers.next(), type);
  return values;
}

/// Half the distance of neighbouring bfloat16 around x: what one rounding may cost. A little more,
/// since the number that is rounded has an error of its own.
inline double half_unit(double x, ElementType type) {
  if (type == ElementType::kFloat32 || x == 0) return 0;
  return std::ldexp(1.0 + 0x1.0p-8, std::max(std::ilogb(x), -126) - 8);
}

/// What is wrong with `actual`: empty where each element differs from the exact one by at most
/// twice the error of the naive form in its row, a few units of float32 (one of the row's largest),
/// and one rounding to `type`.
inline std::string errors_of_rows(const std::string& what, const Values& actual,
                                  const Values& naive, const Values& exact, ElementType type,
                                  std::int64_t width) {
  if (actual.size() != exact.size() || naive.size() != exact.size()) return what + " has no size; ";
  for (std::size_t begin = 0; begin < exact.size(); begin += at(width)) {
    double naive_error = 0, largest = 0;
    for (std::size_t i = begin; i < begin + at(width); ++i) {
      naive_error = std::max(naive_error, std::abs(naive[i] - exact[i]));
      largest = std::max(largest, std::abs(exact[i]));
    }
    for (std::size_t i = begin; i < begin + at(width); ++i) {
      const double bound = half_unit(exact[i], type) + 2 * naive_error +
                           0x1.0p-21 * std::abs(exact[i]) + 0x1.0p-24 * largest + 1e-37,
                   difference = std::abs(actual[i] - exact[i]);
      if (difference <= bound) continue;  // not so for NaN
      return what + "[" + std::to_string(i) + "] differs from " + std::to_string(exact[i]) +
             " by " + std::to_string(difference / bound) + " times what it may; ";
    }
  }
  return "";
}

struct RmsNormInputs {
  RmsNormInputs(const RmsNormShape& a_shape, std::uint64_t seed, bool has_added, bool has_d_sum)
      : shape(a_shape),
        x(random_values(shape.rows * shape.width, shape.type, seed)),
        weight(random_values(shape.width, shape.type, seed + 1)),
        d_out(random_values(shape.rows * shape.width, shape.type, seed + 2)) {
    if (has_added) added = random_values(shape.rows * shape.width, shape.type, seed + 3);
    if (has_d_sum) d_sum = random_values(shape.rows * shape.width, shape.type, seed + 4);
    // Rows of very different size, and one of zeros.
    for (std::int64_t i = 0; i < shape.rows * shape.width; ++i) {
      const auto row = i / shape.width;
      x[at(i)] = row % 7 == 6 ? 0 : std::ldexp(x[at(i)], static_cast<int>(row % 7 * 8) - 20);
      if (has_added)
        added[at(i)] =
            row % 7 == 6 ? 0 : std::ldexp(added[at(i)], static_cast<int>(row % 7 * 8) - 20);
    }
  }

  RmsNormShape shape;
  float eps = 1e-5F;
  Values x, weight, d_out, added, d_sum;  // empty: null
};

struct RmsNormResults {
  Values sum, inverse_rms, out, d_x, d_weight;
};

template <class Real>
RmsNormResults rms_norm_reference(const RmsNormInputs& in) {
  const auto& s = in.shape;
  RmsNormResults r;
  std::vector<Real> d_weight(at(s.width));
  for (std::int64_t row = 0; row < s.rows; ++row) {
    const auto begin = at(row * s.width);
    Real squares = 0, dot = 0;
    for (std::size_t j = 0; j < at(s.width); ++j) {
      const double x = in.x[begin + j];
      r.sum.push_back(in.added.empty() ? x : rounded(x + in.added[begin + j], s.type));
      squares += Real(r.sum.back()) * Real(r.sum.back());
    }
    const Real inverse = 1 / std::sqrt(squares / static_cast<Real>(s.width) + Real(in.eps));
    r.inverse_rms.push_back(static_cast<double>(inverse));
    for (std::size_t j = 0; j < at(s.width); ++j) {
      const Real n = Real(r.sum[begin + j]) * inverse, d_out = Real(in.d_out[begin + j]),
                 w = Real(in.weight[j]);
      r.out.push_back(static_cast<double>(n * w));
      dot += d_out * w * n;
      d_weight[j] += d_out * n;
    }
    const Real mean = dot / static_cast<Real>(s.width);
    for (std::size_t j = 0; j < at(s.width); ++j) {
      const Real n = Real(r.sum[begin + j]) * inverse,
                 d = Real(in.d_out[begin + j]) * Real(in.weight[j]),
                 more = in.d_sum.empty() ? Real(0) : Real(in.d_sum[begin + j]);
      r.d_x.push_back(static_cast<double>(more + inverse * (d - n * mean)));
    }
  }
  r.d_weight.assign(d_weight.begin(), d_weight.end());
  return r;
}

struct SwigluInputs {
  SwigluInputs(const SwigluShape& a_shape, std::uint64_t seed)
      : shape(a_shape),
        gate_up(random_values(2 * shape.rows * shape.width, shape.type, seed)),
        d_out(random_values(shape.rows * shape.width, shape.type, seed + 1)) {
    // Rows of gates around one centre each, so that small results are held to small errors.
    static constexpr double kCentres[] = {0, -3, 3, -9, 9, -25, 25, -60, -84, 60, 1e30};
    for (std::int64_t row = 0; row < shape.rows; ++row)
      for (std::int64_t j = 0; j < shape.width; ++j) {
        auto& gate = gate_up[at(2 * row * shape.width + j)];
        gate = rounded(gate + kCentres[row % 11], shape.type);
      }
  }

  SwigluShape shape;
  Values gate_up, d_out;
};

struct SwigluResults {
  Values out, d_gate_up;
};

template <class Real>
SwigluResults swiglu_reference(const SwigluInputs& in) {
  const auto width = at(in.shape.width);
  SwigluResults r{Values(in.d_out.size()), Values(in.gate_up.size())};
  for (std::size_t i = 0; i < in.d_out.size(); ++i) {
    const auto row = i / width, gate = 2 * row * width + i % width, up = gate + width;
    const Real g = Real(in.gate_up[gate]), u = Real(in.gate_up[up]), d = Real(in.d_out[i]),
               e = std::exp(-g), s = 1 / (1 + e), rest = e / (1 + e);
    r.out[i] = static_cast<double>(g * s * u);
    r.d_gate_up[gate] = static_cast<double>(d * u * s * (1 + g * rest));
    r.d_gate_up[up] = static_cast<double>(d * g * s);
  }
  return r;
}

struct CrossEntropyInputs {
  CrossEntropyInputs(std::int64_t a_rows, std::int64_t a_vocabulary, ElementType a_type,
                     std::uint64_t seed)
      : rows(a_rows),
        vocabulary(a_vocabulary),
        type(a_type),
        logits(random_values(rows * vocabulary, type, seed, 8.0)) {
    for (std::int64_t row = 0; row < rows; ++row) {
      // Every third row peaks late, every fifth lies far from zero, every fourth has no target.
      auto* const of_row = logits.data() + row * vocabulary;
      if (row % 3 == 1) of_row[vocabulary - 1] = 30;
      for (std::int64_t j = 0; row % 5 == 2 && j < vocabulary; ++j)
        of_row[j] = rounded(of_row[j] - 300, type);
      targets.push_back(row % 4 == 3   ? kNoTarget
                        : row % 3 == 1 ? vocabulary - 1
                                       : (row * 7919 + 3) % vocabulary);
    }
  }

  std::int64_t rows, vocabulary;
  ElementType type;
  float z_loss = 0.01F;
  Values logits;
  std::vector<std::int64_t> targets;
};

struct CrossEntropyResults {
  Values cross_entropy, log_sum_exp, gradient;
  Values of_targets;  // the gradient's elements at the targets, which are 0 in `gradient`
};

template <class Real>
CrossEntropyResults cross_entropy_reference(const CrossEntropyInputs& in) {
  CrossEntropyResults r;
  for (std::int64_t row = 0; row < in.rows; ++row) {
    const auto* const logits = in.logits.data() + row * in.vocabulary;
    const auto target = in.targets[at(row)];
    Real largest = -std::numeric_limits<Real>::infinity(), sum = 0;
    for (std::int64_t j = 0; j < in.vocabulary; ++j) largest = std::max(largest, Real(logits[j]));
    for (std::int64_t j = 0; j < in.vocabulary; ++j) sum += std::exp(Real(logits[j]) - largest);
    const Real log_sum_exp = largest + std::log(sum);
    const bool counts = target != kNoTarget;
    r.log_sum_exp.push_back(static_cast<double>(log_sum_exp));
    r.cross_entropy.push_back(counts ? static_cast<double>(log_sum_exp - Real(logits[target]))
                                     : 0.0);
    r.of_targets.push_back(0);
    for (std::int64_t j = 0; j < in.vocabulary; ++j) {
      const Real factor = counts ? 1 + 2 * Real(in.z_loss) * log_sum_exp : Real(0),
                 p = std::exp(Real(logits[j]) - log_sum_exp) * factor;
      r.gradient.push_back(j == target ? 0 : static_cast<double>(p));
      if (j == target) r.of_targets.back() = static_cast<double>(p - 1);
    }
  }
  return r;
}

struct AdamwInputs {
  AdamwInputs(std::int64_t a_size, std::int64_t a_decayed_size, std::uint64_t seed)
      : size(a_size), decayed_size(a_decayed_size) {
    constexpr auto kType = ElementType::kFloat32;
    gradients = random_values(size, kType, seed);
    weights = random_values(size, kType, seed + 1);
    first_moments = random_values(size, kType, seed + 2, 0.1);
    second_moments = random_values(size, kType, seed + 3, 0.1);
    for (auto& v : second_moments) v = std::abs(v);
    step.gradient_scale = 0.25F;
    step.correction1 = 1 - 0.9F * 0.9F * 0.9F;
    step.correction2 = 1 - 0.95F * 0.95F * 0.95F;
  }

  std::int64_t size, decayed_size;
  float lr = 0.01F, beta1 = 0.9F, beta2 = 0.95F, eps = 1e-8F, weight_decay = 0.1F;
  AdamwStep step;
  Values gradients, weights, first_moments, second_moments;
};

struct AdamwResults {
  Values weights, first_moments, second_moments;
};

template <class Real>
AdamwResults adamw_reference(const AdamwInputs& in) {
  AdamwResults r{in.weights, in.first_moments, in.second_moments};
  for (std::size_t i = 0; i < in.weights.size(); ++i) {
    const Real g = Real(in.step.gradient_scale) * Real(in.gradients[i]), one = 1,
               beta1 = Real(in.beta1), beta2 = Real(in.beta2), lr = Real(in.lr),
               m = Real(in.first_moments[i]) + (one - beta1) * (g - Real(in.first_moments[i])),
               v = beta2 * Real(in.second_moments[i]) + (one - beta2) * g * g,
               kept = i < at(in.decayed_size) ? one - lr * Real(in.weight_decay) : one,
               denominator = std::sqrt(v) / std::sqrt(Real(in.step.correction2)) + Real(in.eps);
    r.first_moments[i] = static_cast<double>(m);
    r.second_moments[i] = static_cast<double>(v);
    r.weights[i] = static_cast<double>(kept * Real(in.weights[i]) -
                                       lr / Real(in.step.correction1) * m / denominator);
  }
  return r;
}

struct EmbeddingInputs {
  /// A token in three is `frequent`, the others are spread over the vocabulary.
  EmbeddingInputs(std::int64_t a_rows, std::int64_t a_width, std::int64_t a_vocabulary,
                  ElementType a_type, std::uint64_t seed)
      : rows(a_rows),
        width(a_width),
        vocabulary(a_vocabulary),
        type(a_type),
        d_out(random_values(rows * width, type, seed)),
        d_weight(random_values(vocabulary * width, ElementType::kFloat32, seed + 1)) {
    const std::int64_t frequent = vocabulary / 2;
    std::vector<std::int64_t> tokens;
    for (std::int64_t i = 0; i < rows; ++i) {
      tokens.push_back(i % 3 == 0 ? frequent : (i * 7919 + 13) % vocabulary);
      order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return tokens[at(a)] < tokens[at(b)]; });
    for (const auto i : order) sorted_tokens.push_back(tokens[at(i)]);
  }

  std::int64_t rows, width, vocabulary;
  ElementType type;
  Values d_out, d_weight;
  std::vector<std::int64_t> sorted_tokens, order;
};

/// The new d_weight. In float these are the very bits: the definition names every addition.
template <class Real>
Values embedding_reference(const EmbeddingInputs& in) {
  Values d_weight = in.d_weight;
  for (std::size_t begin = 0, end; begin < in.order.size(); begin = end) {
    const auto token = in.sorted_tokens[begin];
    end = begin;
    while (end < in.order.size() && in.sorted_tokens[end] == token) ++end;
    for (std::int64_t j = 0; j < in.width; ++j) {
      Real sum = 0;
      for (auto i = begin; i < end; ++i) sum += Real(in.d_out[at(in.order[i] * in.width + j)]);
      auto& to = d_weight[at(token * in.width + j)];
      to = static_cast<double>(Real(to) + sum);
    }
  }
  return d_weight;
}

struct RotaryInputs {
  RotaryInputs(std::int64_t a_batch, std::int64_t a_length, std::int64_t a_heads,
               std::int64_t a_head_size, ElementType a_type, std::uint64_t seed)
      : batch(a_batch),
        length(a_length),
        heads(a_heads),
        head_size(a_head_size),
        type(a_type),
        x(random_values(batch * length * heads * head_size, type, seed)) {
    const auto half = head_size / 2;
    for (std::int64_t i = 0; i < batch * length * half; ++i) {
      const double angle =
          static_cast<double>(i / half + 1) *
          std::pow(0.01, static_cast<double>(i % half) / static_cast<double>(half));
      cos.push_back(static_cast<float>(std::cos(angle)));
      sin.push_back(static_cast<float>(std::sin(angle)));
    }
  }

  std::int64_t batch, length, heads, head_size;
  ElementType type;
  Values x;                     // [batch, length, heads, head_size]
  std::vector<float> cos, sin;  // [batch, length, head_size / 2]
};

/// With one table for all sequences, or one for each.
template <class Real>
Values rotary_reference(const RotaryInputs& in, bool shared, bool inverse) {
  Values out(in.x.size());
  const auto half = in.head_size / 2;
  for (std::int64_t head = 0; head < in.batch * in.length * in.heads; ++head) {
    const auto token = head / in.heads, row = (shared ? token % in.length : token) * half;
    for (std::int64_t j = 0; j < half; ++j) {
      const Real cos = Real(in.cos[at(row + j)]),
                 sin = inverse ? -Real(in.sin[at(row + j)]) : Real(in.sin[at(row + j)]),
                 a = Real(in.x[at(head * in.head_size + j)]),
                 b = Real(in.x[at(head * in.head_size + half + j)]);
      out[at(head * in.head_size + j)] = static_cast<double>(a * cos - b * sin);
      out[at(head * in.head_size + half + j)] = static_cast<double>(b * cos + a * sin);
    }
  }
  return out;
}

}  // namespace zebra::kernels::testing
