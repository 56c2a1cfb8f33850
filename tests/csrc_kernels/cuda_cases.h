#pragma once

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "csrc_kernels/local_attention_run.h"
#include "zebra_kernels/local_attention_cuda.h"

namespace zebra::kernels::testing {

/// The cases of cuda_cases.csv: the fixed list that every way of testing the CUDA kernels runs. It
/// holds every pair of two factors' values (tests/ptx/test_cuda_cases.py checks that).
inline std::vector<Case> cuda_cases(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<Case> cases;
  std::string line;
  std::getline(file, line);  // the names of the columns
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::vector<std::string> values;
    for (std::string value; std::getline(fields, value, ',');) values.push_back(value);
    const auto number = [&](std::size_t i) { return std::stoll(values.at(i)); };
    cases.push_back({number(0), number(1), number(2), number(3), number(4), number(5),
                     static_cast<Rotary>(number(6)), number(7) != 0,
                     values.at(8) == "float32" ? ElementType::kFloat32 : ElementType::kBfloat16});
  }
  return cases;
}

/// The kernels of local_attention_cuda.h on the default stream; of a GPU, or emulated.
struct CudaKernels {
  static std::size_t saved_bytes(const LocalAttentionShape& shape) {
    return cuda::local_attention_saved_bytes(shape);
  }
  static std::size_t workspace_bytes(const LocalAttentionShape& shape) {
    return cuda::local_attention_backward_workspace_bytes(shape);
  }
  static void forward(const LocalAttentionForward& arguments, void* saved) {
    cuda::local_attention_forward(arguments, saved, nullptr);
  }
  static void backward(const LocalAttentionBackward& arguments, const void* saved) {
    cuda::local_attention_backward(arguments, saved, nullptr);
  }
};

}  // namespace zebra::kernels::testing
