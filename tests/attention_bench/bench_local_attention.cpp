// zebra_bench_attention: times local attention against what LibTorch offers, on the CPU and on a
// GPU.

#include <torch/version.h>

#include <ATen/Parallel.h>

#include <iostream>

#include "base/error.h"
#include "comparison.h"
#include "length_sweep.h"
#include "options.h"

namespace zebra::bench {
namespace {

std::string heading(torch::DeviceType type, const Device& device, const Options& options) {
  std::string text = std::string(device_name(type)) + ": " + device.name();
  if (type == torch::kCPU) {
    const auto set = options.chosen_instruction_set().value_or(kernels::best_instruction_set());
    text += ", " + std::to_string(at::get_num_threads()) + " threads, zebra with " +
            kernels::instruction_set_name(set);
  }
  return text + ", LibTorch " + TORCH_VERSION + ", " + std::to_string(options.repetitions) +
         " repetitions, " + (options.without_rotary ? "no rotary embedding" : "rotary embedding");
}

std::unique_ptr<Device> open_device([[maybe_unused]] torch::DeviceType type) {
#ifdef ZEBRA_WITH_CUDA
  if (type == torch::kCUDA) return cuda_device();
#endif
  return cpu_device();
}

void run(const Options& options) {
  if (options.threads > 0) at::set_num_threads(options.threads);
  const auto devices = options.chosen_devices();
  std::vector<std::vector<Case>> cases;
  std::vector<Case> all_cases;
  for (const auto type : devices) {
    cases.push_back(options.cases(type));
    all_cases.insert(all_cases.end(), cases.back().begin(), cases.back().end());
  }
  const auto set = options.chosen_instruction_set();
  const Comparison comparison{options.chosen_peers(all_cases), set, options.repetitions,
                              !options.without_rotary};
  const LengthSweep sweep{set, options.repetitions, !options.without_rotary};
  CsvFile csv(options.csv);
  csv.row(options.length_sweep ? LengthSweep::csv_headings() : Comparison::csv_headings());
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const auto device = open_device(devices[i]);
    std::cout << (i > 0 ? "\n" : "") << heading(devices[i], *device, options) << "\n\n";
    if (options.length_sweep) {
      sweep.run(cases[i], *device, csv);
    } else {
      comparison.run(cases[i], *device, csv);
    }
  }
}

}  // namespace
}  // namespace zebra::bench

int main(int argc, char** argv) {
  CLI::App app("Times local attention, forward and backward, against what LibTorch offers");
  zebra::bench::Options options;
  options.add_to(app);
  try {
    app.parse(argc, argv);
    zebra::bench::run(options);
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;  // help is done with 0
  } catch (const zebra::InputError& error) {
    std::cerr << error.what() << std::endl;
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "error: " << zebra::without_backtrace(error.what()) << std::endl;
    return 1;
  }
}
