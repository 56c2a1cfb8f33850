// The CUDA kernels on a real GPU: every case of the fixed list against the float64 definition, the
// same bits on repetition, non-finite rows that stay where they are.

#include <cstdio>
#include <cstdlib>

#include "csrc_kernels/cuda_cases.h"
#include "gpu/gpu_check.h"

namespace zebra::kernels::testing {
namespace {

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

int run(const char* path, std::int64_t longest) {
  Report report;
  for (const auto& c : cuda_cases(path)) {
    if (c.length > longest) continue;
    const Expected expected(c);
    Run<MappedMemory> first(c, expected.in), second(c, expected.in);
    first.with(SynchronousKernels());
    report.add(errors_of(first, expected));
    second.with(SynchronousKernels());
    report.add(second.same_bits(first) ? "" : c.text() + ": other bits on repetition");
  }
  for (const std::int64_t head_size : {32, 64, 96, 128}) {
    for (const auto type : {ElementType::kBfloat16, ElementType::kFloat32}) {
      if (longest < 1000) continue;
      report.add(
          strays_of_non_finite_rows<MappedMemory>(SynchronousKernels(), head_size, type, 128));
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
  return zebra::kernels::testing::exit_status_of([&] {
    return zebra::kernels::testing::run(argv[1], argc == 3 ? std::atoll(argv[2]) : 1000);
  });
}
