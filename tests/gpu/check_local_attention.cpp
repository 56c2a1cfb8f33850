// The CUDA kernels on a real GPU: every case of the fixed list against the float64 definition, the
// same bits on repetition, non-finite rows that stay where they are. No test framework: a machine
// with a GPU may have nothing but the CUDA toolkit.

#include <cuda_runtime_api.h>

#include <cstdio>

#include "csrc_kernels/cuda_cases.h"

namespace zebra::kernels::testing {
namespace {

void check_cuda(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

// Memory that both sides see: the harness fills and reads it as it does on the CPU.
struct ManagedMemory {
  static void* allocate(std::size_t bytes) {
    void* memory = nullptr;
    check_cuda(cudaMallocManaged(&memory, bytes));
    return memory;
  }
  static void free(void* memory) { cudaFree(memory); }
};

struct SynchronousKernels : CudaKernels {
  static void forward(const LocalAttentionForward& arguments, void* saved) {
    CudaKernels::forward(arguments, saved);
    check_cuda(cudaDeviceSynchronize());
  }
  static void backward(const LocalAttentionBackward& arguments, const void* saved) {
    CudaKernels::backward(arguments, saved);
    check_cuda(cudaDeviceSynchronize());
  }
};

class Report {
 public:
  void add(const std::string& errors) {
    ++checks_;
    if (errors.empty()) return;
    ++failures_;
    std::printf("FAILED %s\n", errors.c_str());
  }
  int finish() const {
    std::printf("%d checks, %d failures\n", checks_, failures_);
    return failures_ == 0 ? 0 : 1;
  }

 private:
  int checks_ = 0, failures_ = 0;
};

int run(const char* path, std::int64_t longest) {
  Report report;
  for (const auto& c : cuda_cases(path)) {
    if (c.length > longest) continue;
    const Expected expected(c);
    Run<ManagedMemory> first(c, expected.in), second(c, expected.in);
    first.with(SynchronousKernels());
    report.add(errors_of(first, expected));
    second.with(SynchronousKernels());
    report.add(second.same_bits(first) ? "" : c.text() + ": other bits on repetition");
  }
  for (const std::int64_t head_size : {32, 64, 96, 128}) {
    for (const auto type : {ElementType::kBfloat16, ElementType::kFloat32}) {
      if (longest < 1000) continue;
      report.add(
          strays_of_non_finite_rows<ManagedMemory>(SynchronousKernels(), head_size, type, 128));
    }
  }
  return report.finish();
}

}  // namespace
}  // namespace zebra::kernels::testing

// usage: check_local_attention CASES.csv [LONGEST]; LONGEST leaves out longer sequences (for
// compute-sanitizer, which is slow).
int main(int argc, char** argv) {
  if (argc < 2 || argc > 3)
    return std::fprintf(stderr, "usage: %s CASES.csv [LONGEST]\n", argv[0]), 2;
  try {
    return zebra::kernels::testing::run(argv[1], argc == 3 ? std::atoll(argv[2]) : 1000);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
