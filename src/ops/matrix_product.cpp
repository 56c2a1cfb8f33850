#include "ops/matrix_product.h"

#include <algorithm>

#include "ops/kernel_choice.h"
#include "zebra_kernels/kernel.h"

namespace zebra {
namespace {

// Floats of the widened copies of one block: they should stay in the caches.
constexpr std::int64_t kBlockFloats = std::int64_t{1} << 19;
constexpr std::int64_t kFewestRows = 64;

bool widens(const torch::Tensor& a) {
#if defined(__x86_64__)
  static const bool has_instructions = kernels::is_supported(kernels::InstructionSet::kAvx512Bf16);
  return !has_instructions && a.is_cpu() && a.scalar_type() == torch::kBFloat16 &&
         !wants_reference_kernels();
#else
  return false;
#endif
}

// Calls body(begin, count) for blocks of `rows` whose copies take `floats` each.
template <class Body>
void for_blocks(std::int64_t rows, std::int64_t floats, const Body& body) {
  const auto block = std::max(kFewestRows, kBlockFloats / floats);
  for (std::int64_t begin = 0; begin < rows; begin += block) {
    body(begin, std::min(block, rows - begin));
  }
}

}  // namespace

torch::ScalarType product_type(const torch::Tensor& a) {
  return widens(a) ? torch::kFloat32 : a.scalar_type();
}

void matrix_product_out(torch::Tensor& out, const torch::Tensor& a, const torch::Tensor& b) {
  if (!widens(a)) {
    torch::mm_out(out, a, b);
    return;
  }
  const auto wide_b = b.to(torch::kFloat32);
  for_blocks(a.size(0), a.size(1) + b.size(1), [&](std::int64_t begin, std::int64_t count) {
    const auto wide_a = a.narrow(0, begin, count).to(torch::kFloat32);
    out.narrow(0, begin, count).copy_(torch::mm(wide_a, wide_b));
  });
}

torch::Tensor matrix_product(const torch::Tensor& a, const torch::Tensor& b) {
  if (!widens(a)) return torch::mm(a, b);
  auto out = torch::empty({a.size(0), b.size(1)}, a.options());
  matrix_product_out(out, a, b);
  return out;
}

void add_matrix_product(torch::Tensor& sum, const torch::Tensor& a, const torch::Tensor& b) {
  if (a.scalar_type() == torch::kFloat32) {
    sum.addmm_(a, b);
  } else if (!widens(a)) {
    sum.add_(torch::mm(a, b));
  } else {
    for_blocks(a.size(1), a.size(0) + b.size(1), [&](std::int64_t begin, std::int64_t count) {
      sum.addmm_(a.narrow(1, begin, count).to(torch::kFloat32),
                 b.narrow(0, begin, count).to(torch::kFloat32));
    });
  }
}

}  // namespace zebra
