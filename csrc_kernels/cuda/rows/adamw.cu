#include "access.h"
#include "zebra_kernels/row_kernels_cuda.h"

namespace zebra::kernels::rows {

inline constexpr int kAdamwThreads = 256;
/// Of a thread: 16 bytes of rounded weights.
inline constexpr int kAdamwElements = 8;

struct AdamwParameters {
  std::int64_t size = 0, decayed_size = 0;
  const float* gradients = nullptr;
  float *weights = nullptr, *first_moments = nullptr, *second_moments = nullptr;
  std::uint16_t* rounded = nullptr;  // or null
  const AdamwStep* step = nullptr;
  float lr = 0, beta2 = 0, eps = 0, decay_factor = 0;  // decay_factor: 1 - lr weight_decay
  float one_minus_beta1 = 0, one_minus_beta2 = 0;
};

/// What all elements of a step share.
struct AdamwFactors {
  float gradient_scale, rate, root_of_correction2;

  explicit ZEBRA_DEVICE AdamwFactors(const AdamwParameters& p)
      : gradient_scale(p.step->gradient_scale),
        rate(p.lr / p.step->correction1),
        root_of_correction2(device::square_root(p.step->correction2)) {}
};

/// Divisions and roots are rounded to nearest: v may be far below what an approximation keeps.
ZEBRA_DEVICE void update_element(const AdamwParameters& p, const AdamwFactors& factors,
                                 float gradient, bool decayed, float& weight, float& m, float& v) {
  const float g = factors.gradient_scale * gradient;
  m += p.one_minus_beta1 * (g - m);
  v = p.beta2 * v + p.one_minus_beta2 * (g * g);
  const float root = device::square_root(v) / factors.root_of_correction2;
  weight = (decayed ? p.decay_factor * weight : weight) - factors.rate * (m / (root + p.eps));
}

/// Of the elements from `begin` on, as many as there are up to kAdamwElements.
template <bool kAligned>
ZEBRA_DEVICE void update_elements(const AdamwParameters& p, std::int64_t begin, int count) {
  using Floats = Access<float, kAligned>;
  const AdamwFactors factors(p);
  Values<std::uint16_t> weights;
#pragma unroll
  for (int at = 0; at < kAdamwElements; at += Floats::kElements) {
    const auto gradient = Floats::load_values(p.gradients + begin, at, count);
    auto weight = Floats::load_values(p.weights + begin, at, count);
    auto m = Floats::load_values(p.first_moments + begin, at, count);
    auto v = Floats::load_values(p.second_moments + begin, at, count);
#pragma unroll
    for (int i = 0; i < Floats::kElements; ++i) {
      update_element(p, factors, gradient.x[i], begin + at + i < p.decayed_size, weight.x[i],
                     m.x[i], v.x[i]);
      weights.x[at + i] = weight.x[i];
    }
    Floats::store_values(p.weights + begin, at, count, weight);
    Floats::store_values(p.first_moments + begin, at, count, m);
    Floats::store_values(p.second_moments + begin, at, count, v);
  }
  if (p.rounded != nullptr) {
    Access<std::uint16_t, kAligned>::store_values(p.rounded + begin, 0, count, weights);
  }
}

template <bool kAligned>
ZEBRA_KERNEL(kAdamwThreads, 1)
adamw_kernel(ZEBRA_PARAMETER AdamwParameters p) {
  if (p.step->applies == 0.0F) return;
  const std::int64_t thread =
      static_cast<std::int64_t>(device::block_index_x()) * kAdamwThreads + device::thread_index();
  const std::int64_t begin = thread * kAdamwElements, left = p.size - begin;
  if (left <= 0) return;
  if (kAligned && left >= kAdamwElements) {
    update_elements<kAligned>(p, begin, kAdamwElements);
  } else {
    update_elements<false>(p, begin,
                           left < kAdamwElements ? static_cast<int>(left) : kAdamwElements);
  }
}

}  // namespace zebra::kernels::rows

namespace zebra::kernels::cuda {

using namespace rows;

void adamw_update(const AdamwUpdate& a, CUstream_st* stream) {
  check_arguments(a);
  constexpr std::int64_t kElementsOfBlock = std::int64_t{kAdamwThreads} * kAdamwElements;
  const std::int64_t blocks = (a.size + kElementsOfBlock - 1) / kElementsOfBlock;
  require(blocks < (std::int64_t{1} << 31), "AdamW",
          "on CUDA there may be fewer than 2^42 elements, got " + std::to_string(a.size) + ".");
  if (a.size == 0) return;
  AdamwParameters p;
  p.size = a.size;
  p.decayed_size = a.decayed_size;
  p.gradients = a.gradients;
  p.weights = a.weights;
  p.first_moments = a.first_moments;
  p.second_moments = a.second_moments;
  p.rounded = static_cast<std::uint16_t*>(a.rounded);
  p.step = a.step;
  p.lr = a.lr;
  p.beta2 = a.beta2;
  p.eps = a.eps;
  p.decay_factor = 1.0F - a.lr * a.weight_decay;
  p.one_minus_beta1 = 1.0F - a.beta1;
  p.one_minus_beta2 = 1.0F - a.beta2;
  const bool is_aligned =
      are_aligned(a.gradients, a.weights, a.first_moments, a.second_moments, a.rounded);
  device::launch(is_aligned ? adamw_kernel<true> : adamw_kernel<false>,
                 device::Grid{static_cast<int>(blocks), 1, 1}, kAdamwThreads, 0, p, stream);
}

}  // namespace zebra::kernels::cuda
