#include "timing.h"

#include <algorithm>

namespace zebra::bench {

Summary summary(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

Summary summary_of_ratios(const std::vector<double>& numerators,
                          const std::vector<double>& denominators) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < numerators.size(); ++i) {
    ratios.push_back(numerators[i] / denominators[i]);
  }
  return summary(std::move(ratios));
}

std::vector<Times> take_turns(const Device& device,
                              const std::vector<std::unique_ptr<Competitor>>& competitors,
                              int repetitions, const std::function<void()>& before) {
  for (const auto& competitor : competitors) competitor->run();
  std::vector<Times> all(competitors.size());
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    before();
    for (std::size_t turn = 0; turn < competitors.size(); ++turn) {
      const auto i = (turn + static_cast<std::size_t>(repetition)) % competitors.size();
      auto& times = all[i];
      times.forward.push_back(device.seconds([&] { competitors[i]->forward(); }));
      times.backward.push_back(device.seconds([&] { competitors[i]->backward(); }));
      times.both.push_back(times.forward.back() + times.backward.back());
    }
  }
  return all;
}

MatrixProduct::MatrixProduct(const Device& device, torch::DeviceType type,
                             torch::ScalarType element)
    : device_(device) {
  const auto options = torch::dtype(element).device(type);
  left_ = torch::randn({kSize, kSize}, options);
  right_ = torch::randn({kSize, kSize}, options);
  product_ = torch::empty({kSize, kSize}, options);
  at::matmul_out(product_, left_, right_);  // the first call also prepares the library
}

void MatrixProduct::time() {
  constexpr double kFlops = 2.0 * kSize * kSize * kSize;
  rates_.push_back(kFlops / device_.seconds([&] { at::matmul_out(product_, left_, right_); }));
}

}  // namespace zebra::bench
