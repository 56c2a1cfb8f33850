#include "measurement/product_ceiling.h"

#include <algorithm>

#include "model/placement.h"
#include "ops/linear.h"

namespace zebra {
namespace {

constexpr std::int64_t kSizeOnCpu = 2048, kSizeOnGpu = 8192;
constexpr int kProducts = 6;

}  // namespace

double measure_product_ceiling(Precision precision, const DeviceMeter& meter) {
  const auto size = meter.device().is_cpu() ? kSizeOnCpu : kSizeOnGpu;
  const auto options = torch::TensorOptions(meter.device()).dtype(weight_type(precision));
  const auto a = torch::randn({size, size}, options), b = torch::randn({size, size}, options);
  auto out = torch::empty({size, size}, options);
  matrix_product_out(out, a, b);
  double quickest = meter.seconds([&] { matrix_product_out(out, a, b); });
  for (int i = 1; i < kProducts; ++i) {
    quickest = std::min(quickest, meter.seconds([&] { matrix_product_out(out, a, b); }));
  }
  const auto edge = static_cast<double>(size);
  return 2.0 * edge * edge * edge / quickest;
}

}  // namespace zebra
